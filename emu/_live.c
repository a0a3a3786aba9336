/* What a running program's engine calls back: block counts and budget, crossings of watched routines, pure queries.
 *
 * The structures are those of emu/live/native.py, field by field; the tables are made by emu/live/watch/plan.py, and
 * emu/live/watch/judge.py does the same as this file in Python. No header of the engine is needed: its functions come
 * as addresses.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "_hostmap.h"

#define MOST_VALUES 96
#define MOST_WAITING 16
#define RING 64
#define MOST_PLANS 16

typedef struct {
    int64_t active, plan, way, stage;
    uint64_t back; /* SP when control comes back to a routine that has called on */
    uint64_t g;    /* that ran at entry */
    uint64_t values[MOST_VALUES];
} Crossing;

typedef struct {
    uint64_t tls, tid;
    int64_t waits;
    Crossing now, waiting[MOST_WAITING];
} Thread;

typedef struct { uint64_t number, tid, plan, way, stage, g, goid, from, sp, pc, blocks; } Row;

typedef struct { uint64_t key; int64_t least; uint64_t at, crossings, asked; } Depth;

typedef struct {
    void *uc;
    int (*read)(void *, int *, void **, int);
    int (*write)(void *, int, const void *);
    int (*stop_engine)(void *);
    int *ids;
    int64_t registers, sp, pc, g, number, result; /* indices of registers; g is -1 if a word of the thread's */
    int64_t arguments[2], destroyed[2]; /* destroyed by a system call: gets PC, flags; -1 */
    int64_t flags, word, pushed, insn; /* insn: bytes of a system-call instruction the PC has not passed yet */
    const hostmap_table *memory;
    uint64_t last; /* range found last */
    uint64_t fault, access; /* the page that was asked for in vain, and for what: 1 read, 2 write, 4 execute */
    uint64_t blocks, limit;
    int64_t stop, vector;
    uint64_t skip, at;
    uint64_t clock, block_time, query_time, epoch; /* query_time: what it takes to ask for the time */
    int64_t clock_call, clock_call64;
    uint64_t answered;
    uint64_t low, span; /* all code of watched routines lies between */
    const int64_t *table;
    int64_t plans, standing; /* standing: number of the plan that holds wherever a crossing ends; -1 */
    Thread *thread;
    int64_t goid, lo, guard; /* offsets in a g, and from lo to its guard */
    int64_t guard_word, hook, growing; /* offset of the guard word; the plan of a hook, -1; bits of morestack's plans */
    uint64_t preempt, asked, lost, preempted; /* the word that asks for a preemption; how often by the hook */
    uint64_t crossings[MOST_PLANS];
    uint64_t rows, digest;
    Row ring[RING];
    int64_t failed;
    uint64_t expected, found, blamed; /* blamed: the routine that was entered with something wrong already */
    Depth *depths;
    uint64_t room, known;
    uint64_t full; /* a recorder wants to be emptied: stop before the next block */
    uint64_t longest, begin, end; /* stop where a block of so many bytes goes on: it may have been cut in two */
} Live;

enum { NONE, SYSCALL, INTERRUPT, LIMIT, FAILED, BREAKPOINT };

static uint64_t mask_of(const Live *l) { return l->word == 8 ? ~0ull : 0xffffffffull; }

static unsigned char *host(Live *l, uint64_t address, uint64_t size) {
    return hostmap_find(l->memory, address & mask_of(l), size, &l->last);
}

static uint64_t load(Live *l, uint64_t address, uint64_t size) {
    uint64_t value = 0;
    const unsigned char *at = host(l, address, size);
    if (at) memcpy(&value, at, size);
    return value; /* what is not mapped reads as 0: the check then fails, or the guest faults there itself */
}

static void registers(const Live *l, uint64_t *values) {
    void *pointers[64];
    for (int64_t i = 0; i < l->registers; i++) { values[i] = 0; pointers[i] = &values[i]; }
    l->read(l->uc, l->ids, pointers, (int)l->registers);
}

static void stop(Live *l, int64_t why) {
    if (!l->stop) l->stop = why;
    l->stop_engine(l->uc);
}

static void fill(Live *l, const int64_t *plan, uint64_t *values) {
    uint64_t n = (uint64_t)l->registers, mask = mask_of(l);
    const int64_t *loads = l->table + plan[2];
    values[n] = l->thread->tls;
    values[n + 1] = 0;
    for (int64_t i = 0; i < plan[1]; i++)
        values[n + 2 + i] = load(l, (values[loads[2 * i]] + (uint64_t)loads[2 * i + 1]) & mask, l->word);
}

static int inside(const Live *l, const int64_t *plan, uint64_t address) {
    const int64_t *ranges = l->table + plan[6];
    for (int64_t i = 0; i < plan[5]; i++)
        if ((uint64_t)ranges[2 * i] <= address && address < (uint64_t)ranges[2 * i + 1]) return 1;
    return 0;
}

static uint64_t running(Live *l, const uint64_t *values) {
    return l->g >= 0 ? values[l->g] : load(l, l->thread->tls - (uint64_t)l->word, l->word);
}

static Depth *of_goroutine(Live *l, uint64_t goid) {
    uint64_t key = goid ? goid : l->thread->tid | 1ull << 63;
    if (l->known * 2 >= l->room) {
        uint64_t room = l->room ? l->room * 2 : 256;
        Depth *more = calloc(room, sizeof *more);
        if (!more) return NULL;
        for (uint64_t i = 0; i < l->room; i++)
            if (l->depths[i].key) {
                uint64_t at = l->depths[i].key * 0x9e3779b97f4a7c15ull & (room - 1);
                while (more[at].key) at = (at + 1) & (room - 1);
                more[at] = l->depths[i];
            }
        free(l->depths);
        l->depths = more;
        l->room = room;
    }
    uint64_t at = key * 0x9e3779b97f4a7c15ull & (l->room - 1);
    while (l->depths[at].key && l->depths[at].key != key) at = (at + 1) & (l->room - 1);
    Depth *d = &l->depths[at];
    if (!d->key) { d->key = key; d->least = INT64_MAX; l->known++; }
    return d;
}

static void depth(Live *l, uint64_t goid, int64_t distance) {
    Depth *d = of_goroutine(l, goid);
    if (!d) return;
    if (distance < d->least) { d->least = distance; d->at = l->rows; }
    d->crossings++;
}

static void fail(Live *l, int64_t number, uint64_t expected, uint64_t found) {
    if (l->failed >= 0) return;
    l->failed = number;
    l->expected = expected;
    l->found = found;
    stop(l, FAILED);
}

static uint64_t value(Live *l, const int64_t *ref, const uint64_t *values, uint64_t moved) {
    return (values[ref[0]] + (uint64_t)ref[1] + (ref[2] ? moved : 0)) & mask_of(l);
}

static const int64_t *choose(Live *l, const int64_t *plan, Crossing *c) {
    const int64_t *ways = l->table + plan[4];
    uint64_t mask = mask_of(l);
    for (int64_t w = 0; w < plan[3]; w++) {
        const int64_t *way = ways + 4 * w, *condition = l->table + way[1];
        int64_t left = way[0];
        for (; left; left--, condition += 5) {
            uint64_t a = (c->values[condition[0]] + (uint64_t)condition[1]) & mask;
            uint64_t b = (c->values[condition[2]] + (uint64_t)condition[3]) & mask;
            if ((condition[4] & 2 ? a >= b : a == b) != (condition[4] & 1)) break;
        }
        if (!left) { c->way = w; return way; }
    }
    return NULL;
}

/* `then`: values at entry; `now`: at this moment. */
static void judge(Live *l, const int64_t *stage, const uint64_t *then, const uint64_t *now, uint64_t moved,
                  uint64_t address) {
    uint64_t mask = mask_of(l);
    if (stage[0] >= 0) {
        uint64_t target = (then[stage[0]] + (uint64_t)stage[1]) & mask;
        if (target != address) { fail(l, stage[4], target, address); return; }
    }
    const int64_t *check = l->table + stage[3];
    for (int64_t left = stage[2]; left; left--, check += 9) {
        uint64_t found = check[0] >= 0 ? now[check[0]]
                                       : load(l, (then[check[1]] + (uint64_t)check[2]) & mask, (uint64_t)check[3]);
        const int64_t *refs = l->table + check[7];
        uint64_t only = (uint64_t)check[5], first = value(l, refs, then, moved);
        int ok = 0;
        if (check[4] == 1) {
            uint64_t last = value(l, refs + 3, then, moved);
            ok = (first & only) <= (found & only) && (found & only) <= (last & only);
        } else
            for (int64_t i = 0; i < check[6] && !ok; i++)
                ok = (found & only) == (value(l, refs + 3 * i, then, moved) & only);
        if (!ok) { fail(l, check[8], first & only, found & only); return; }
    }
}

static void note(Live *l, const Crossing *c, const uint64_t *now, uint64_t address, int stands) {
    uint64_t g = running(l, now), goid = load(l, g + (uint64_t)l->goid, 8);
    uint64_t left = load(l, c->g + (uint64_t)l->goid, 8); /* a thread's own g has no id: told is the goroutine */
    Row row = {l->rows, l->thread->tid, (uint64_t)c->plan, (uint64_t)c->way, (uint64_t)c->stage, g, left ? left : goid,
               c->values[l->sp], now[l->sp], address, l->blocks};
    l->ring[l->rows % RING] = row;
    const uint64_t *word = (const uint64_t *)&row;
    for (size_t i = 0; i < sizeof row / sizeof *word; i++) l->digest = (l->digest ^ word[i]) * 0x100000001b3ull;
    l->rows++;
    l->crossings[c->plan]++;
    if (stands) depth(l, goid, (int64_t)(now[l->sp] - load(l, g + (uint64_t)l->lo, l->word) - (uint64_t)l->guard));
}

static uint64_t guard_of(Live *l, uint64_t g) { return load(l, g + (uint64_t)l->guard_word, l->word); }

/* A hook in front of stack checks asked for a preemption, which the check behind it must make happen. */
static void asked(Live *l, const Crossing *c, uint64_t g) {
    Depth *d = of_goroutine(l, load(l, g + (uint64_t)l->goid, 8));
    if (!d || guard_of(l, g) != l->preempt || c->back == l->preempt) return;
    l->asked++;
    l->lost += d->asked;
    d->asked = 1;
}

static void preempted(Live *l, uint64_t g) {
    Depth *d = of_goroutine(l, load(l, g + (uint64_t)l->goid, 8));
    if (!d || guard_of(l, g) != l->preempt) return;
    l->preempted++;
    d->asked = 0;
}

/* What holds wherever a crossing begins or ends: registers are those of `now`. */
static void stand(Live *l, const uint64_t *now, uint64_t address) {
    const int64_t *also = l->table + l->table[l->standing];
    Crossing here = {0};
    memcpy(here.values, now, (size_t)l->registers * sizeof *now);
    fill(l, also, here.values);
    const int64_t *found = choose(l, also, &here);
    if (found) judge(l, l->table + found[3], here.values, now, 0, address);
}

/* Control has left a watched routine: what its contract says of this moment, and what holds at every crossing's end. */
static void leave(Live *l, uint64_t address) {
    Thread *t = l->thread;
    Crossing *c = &t->now;
    const int64_t *plan = l->table + l->table[c->plan];
    uint64_t now[MOST_VALUES], moved = 0;
    c->active = 0;
    registers(l, now);
    const int64_t *way = c->way < 0 ? choose(l, plan, c) : l->table + plan[4] + 4 * c->way;
    if (!way) return; /* an outcome that no address stands for, such as a fault on purpose */
    if (c->stage) {
        const int64_t *loads = l->table + plan[2], top = plan[7] - l->registers - 2;
        uint64_t where = (c->values[loads[2 * top]] + (uint64_t)loads[2 * top + 1]) & mask_of(l);
        moved = load(l, where, l->word) - c->values[plan[7]];
    }
    judge(l, l->table + way[3] + 5 * c->stage, c->values, now, moved, address);
    if (plan[8] && l->standing >= 0 && l->failed < 0) stand(l, now, address);
    note(l, c, now, address, plan[8] != 0);
    if (c->plan == l->hook) asked(l, c, running(l, now));
    if (++c->stage < way[2]) {
        c->back = now[l->sp] + (uint64_t)l->pushed;
        while (t->waits && t->waiting[t->waits - 1].back <= c->back) t->waits--;
        if (t->waits == MOST_WAITING) { /* the oldest have left by ways that are not seen */
            memmove(t->waiting, t->waiting + 1, (MOST_WAITING - 1) * sizeof *c);
            t->waits--;
        }
        t->waiting[t->waits++] = *c;
    }
}

/* Control is back inside a routine that had called on. */
static void come_back(Live *l, uint64_t address) {
    Thread *t = l->thread;
    uint64_t now[MOST_VALUES];
    int64_t i = t->waits - 1;
    registers(l, now);
    while (i >= 0 && t->waiting[i].back != now[l->sp]) i--;
    if (i < 0 || !inside(l, l->table + l->table[t->waiting[i].plan], address)) return;
    t->now = t->waiting[i];
    t->now.active = 1;
    t->waits = i;
}

static void on_block(void *uc, uint64_t address, uint32_t size, void *data) {
    Live *l = data;
    Thread *t = l->thread;
    if (l->full || address == l->end) { stop(l, LIMIT); return; }
    l->begin = address;
    l->end = size >= l->longest ? address + size : 0;
    l->blocks++;
    if (t->now.active) {
        if (!inside(l, l->table + l->table[t->now.plan], address)) leave(l, address);
    } else if (t->waits && address - l->low < l->span) {
        const int64_t *plan = l->table + l->table[t->waiting[t->waits - 1].plan];
        if (address != (uint64_t)plan[0] && inside(l, plan, address)) come_back(l, address);
    }
    if (l->blocks >= l->limit) stop(l, LIMIT);
    (void)uc;
}

/* The entry of a watched routine; `data` leads to the run and the routine. */
typedef struct { Live *live; int64_t plan; } Watch;

static void on_entry(void *uc, uint64_t address, uint32_t size, void *data) {
    const Watch *w = data;
    Live *l = w->live;
    Crossing *c = &l->thread->now;
    if (c->active && inside(l, l->table + l->table[c->plan], address) && c->plan != w->plan) return;
    c->active = 1;
    c->plan = w->plan;
    c->way = -1;
    c->stage = 0;
    registers(l, c->values);
    fill(l, l->table + l->table[w->plan], c->values);
    c->g = running(l, c->values);
    if (l->blamed == address) l->blamed = 0; /* told already: the run goes on from here */
    else if (l->table[l->table[w->plan] + 8] && l->standing >= 0) {
        stand(l, c->values, address);
        if (l->failed >= 0) { l->blamed = address; return; }
    }
    if (w->plan == l->hook) c->back = guard_of(l, running(l, c->values));
    if (l->growing >> w->plan & 1) preempted(l, running(l, c->values));
    (void)uc; (void)size;
}

static void on_breakpoint(void *uc, uint64_t address, uint32_t size, void *data) {
    Live *l = data;
    if (l->skip == address) { l->skip = 0; return; }
    l->at = address;
    stop(l, BREAKPOINT);
    (void)uc; (void)size;
}

/* The cycle counter is the virtual clock: the function returns without having run. */
static void on_ticks(void *uc, uint64_t address, uint32_t size, void *data) {
    Live *l = data;
    uint64_t now[MOST_VALUES], ticks = l->clock + l->blocks * l->block_time;
    registers(l, now);
    uint64_t sp = now[l->sp], back = load(l, sp, l->word);
    unsigned char *at = host(l, sp + (uint64_t)l->word, 8);
    if (at) memcpy(at, &ticks, 8);
    sp += (uint64_t)l->word;
    l->write(l->uc, l->ids[l->sp], &sp);
    l->write(l->uc, l->ids[l->pc], &back);
    (void)uc; (void)address; (void)size;
}

static int clock_answered(Live *l) {
    uint64_t now[MOST_VALUES], result = 0;
    registers(l, now);
    int64_t number = (int64_t)(now[l->number] & mask_of(l));
    if (number != l->clock_call && number != l->clock_call64) return 0;
    uint64_t which = now[l->arguments[0]] & 0xffffffffull;
    uint64_t width = number == l->clock_call64 ? 8 : (uint64_t)l->word;
    unsigned char *at = host(l, now[l->arguments[1]], 2 * width);
    if (which > 1 || !at) return 0;
    uint64_t time = l->clock + l->blocks * l->block_time + (which ? 0 : l->epoch);
    uint64_t seconds = time / 1000000000ull, rest = time % 1000000000ull;
    memcpy(at, &seconds, width);
    memcpy(at + width, &rest, width);
    uint64_t after = now[l->pc] + (uint64_t)l->insn;
    if (l->destroyed[0] >= 0) l->write(l->uc, l->ids[l->destroyed[0]], &after);
    if (l->destroyed[1] >= 0) l->write(l->uc, l->ids[l->destroyed[1]], &now[l->flags]);
    l->write(l->uc, l->ids[l->result], &result);
    l->clock += l->query_time;
    l->answered++;
    return 1;
}

/* What a page allows: asked by the engine when it does not know, or when an access is not allowed. */
typedef struct { uint64_t address; uint32_t allowed; } Page;

static bool on_fill(void *uc, uint64_t address, int32_t access, Page *page, void *data) {
    Live *l = data;
    uint32_t wanted = access == 16 || access == 19 || access == 23 ? 1 : access == 17 || access == 20 || access == 22 ? 2 : 4;
    address &= mask_of(l);
    if (host(l, address, 1)) {
        uint64_t allowed = l->memory->ranges[l->last].protection;
        if (allowed & 4) allowed |= 1;
        if (allowed & wanted) {
            page->address = address; /* the engine rounds it to pages of its own size */
            page->allowed = (uint32_t)allowed;
            return true;
        }
    }
    l->fault = address;
    l->access = wanted;
    (void)uc;
    return false;
}

static void on_interrupt(void *uc, uint32_t vector, void *data) {
    Live *l = data;
    if ((vector == 0x80 || vector == 2) && clock_answered(l)) return;
    l->vector = vector;
    stop(l, vector == 0x80 || vector == 2 ? SYSCALL : INTERRUPT);
    (void)uc;
}

static void on_syscall(void *uc, void *data) {
    Live *l = data;
    if (!clock_answered(l)) stop(l, SYSCALL);
    (void)uc;
}

/* The engine works out the CPU's flags before it calls this: no more is wanted. */
static void on_settle(void *uc, uint64_t address, uint32_t size, void *data) { (void)uc; (void)address; (void)size; (void)data; }

/* The run is over: give back what it has taken. */
static void on_close(Live *l) {
    free(l->depths);
    l->depths = NULL;
    l->room = l->known = 0;
}

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_live", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__live(void) {
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    struct { const char *name; void *address; } functions[] = {
        {"block", (void *)on_block}, {"entry", (void *)on_entry}, {"breakpoint", (void *)on_breakpoint},
        {"ticks", (void *)on_ticks}, {"fill", (void *)on_fill}, {"interrupt", (void *)on_interrupt}, {"syscall", (void *)on_syscall},
        {"settle", (void *)on_settle}, {"close", (void *)on_close},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        PyObject *address = PyLong_FromVoidPtr(functions[i].address);
        if (!address || PyModule_AddObject(module, functions[i].name, address) < 0) {
            Py_XDECREF(address);
            Py_DECREF(module);
            return NULL;
        }
    }
    PyModule_AddIntConstant(module, "size", (long)sizeof(Live));
    return module;
}
