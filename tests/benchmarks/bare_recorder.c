/* What a recorder costs at least: full rows into a ring, on the engine's C API and nothing else.
 *
 * Arguments: arch and mode (the engine's numbers), the file with the code, its address, address and size of the stack,
 * where to stop, the number of SP, then those of the row's registers. Prints the steps and the CPU seconds. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unicorn/unicorn.h>

enum { MOST = 32, ROOM = (1 << 20) / 8 };

static uint64_t values[MOST], ring[ROOM];
static void *pointers[MOST];
static int ids[MOST], count;
static uint64_t steps;
static int used;

static void on_step(uc_engine *uc, uint64_t address, uint32_t size, void *data)
{
    (void)address, (void)size, (void)data;
    uc_reg_read_batch(uc, ids, pointers, count);
    if (used + count > ROOM)
        used = 0;
    memcpy(ring + used, values, sizeof values[0] * count);
    used += count;
    steps++;
}

static void check(uc_err error)
{
    if (error != UC_ERR_OK) {
        fprintf(stderr, "%s\n", uc_strerror(error));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static char code[0x1000];
    uint64_t number[MOST + 8];
    for (int i = 1; i < argc; i++)
        number[i] = strtoull(argv[i], NULL, 0);
    FILE *file = fopen(argv[3], "rb");
    if (file == NULL || fread(code, 1, sizeof code, file) == 0)
        return 1;
    uint64_t base = number[4], stack = number[5], size = number[6], until = number[7], sp = stack + size;
    count = argc - 9;
    for (int i = 0; i < count; i++) {
        ids[i] = (int)number[9 + i];
        pointers[i] = &values[i];
    }
    uc_engine *uc;
    uc_hook hook;
    check(uc_open((uc_arch)number[1], (uc_mode)number[2], &uc));
    check(uc_mem_map(uc, base, sizeof code, UC_PROT_ALL));
    check(uc_mem_map(uc, stack, size, UC_PROT_READ | UC_PROT_WRITE));
    check(uc_mem_write(uc, base, code, sizeof code));
    check(uc_reg_write(uc, (int)number[8], &sp));
    check(uc_hook_add(uc, &hook, UC_HOOK_CODE, (void *)on_step, NULL, 1, 0));
    struct timespec begun, ended;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
    check(uc_emu_start(uc, base, until, 0, 0));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    printf("%llu %.9f\n", (unsigned long long)steps,
           (double)(ended.tv_sec - begun.tv_sec) + 1e-9 * (double)(ended.tv_nsec - begun.tv_nsec));
    return 0;
}
