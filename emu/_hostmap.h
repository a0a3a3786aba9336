/* The table of emu/hostmap.py, for native code. */

#ifndef STACKCARRY_HOSTMAP_H
#define STACKCARRY_HOSTMAP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint64_t start, end, host, protection;
} hostmap_range;

typedef struct {
    uint64_t count;
    const hostmap_range *ranges;
} hostmap_table;

/* Where `size` bytes of the guest lie in the host, or NULL if they do not lie in one range. `*last` is the number of
 * the range that was found the last time: most lookups end there. */
static inline void *hostmap_find(const hostmap_table *table, uint64_t address, uint64_t size, uint64_t *last)
{
    const hostmap_range *range = table->ranges + *last;
    if (*last >= table->count || address < range->start || address >= range->end) {
        uint64_t low = 0, high = table->count;
        while (low < high) {
            uint64_t middle = low + (high - low) / 2;
            if (address < table->ranges[middle].end)
                high = middle;
            else
                low = middle + 1;
        }
        if (low == table->count || address < table->ranges[low].start)
            return NULL;
        *last = low;
        range = table->ranges + low;
    }
    if (size > range->end - address)
        return NULL;
    return (void *)(uintptr_t)(range->host + (address - range->start));
}

/* The little-endian word of `size` bytes (4 or 8) at an address; 0 where none is mapped. */
static inline uint64_t hostmap_word(const hostmap_table *table, uint64_t address, uint64_t size, uint64_t *last)
{
    const void *where = hostmap_find(table, address, size, last);
    if (where == NULL)
        return 0;
    if (size == 8) {
        uint64_t word;
        memcpy(&word, where, 8);
        return word;
    }
    uint32_t word;
    memcpy(&word, where, 4);
    return word;
}

#endif
