/* The recorder's callbacks, natively: they do what `Callbacks` in emu/callbacks.py does, to the same record.
 *
 * Nothing here calls Python or allocates. The engine's functions come as addresses, so that none of its headers is
 * needed. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_hostmap.h"

typedef struct {
    uint64_t step, address, value;
    uint32_t size, write;
} entry;

/* `State` in emu/callbacks.py, which says what the fields are. Addresses are kept as numbers. */
typedef struct {
    uint64_t steps, limit;
    uint64_t rows, rows_used, width;
    uint64_t accesses, accesses_used, accesses_most, accesses_room, lost;
    uint64_t reads, writes, inside;
    uint64_t ranges, range_count, range_last;
    uint64_t ids, pointers, count, values;
    uint64_t pc_at, step_at, g_at, guard_at;
    uint64_t g_word, guard_offset, guarded, word;
    uint64_t memory, g_last, guard_last;
    uint64_t read_batch, read_one, stop;
    uint64_t rows_room, full;
} state;

#define AT(type, number) ((type)(uintptr_t)(number))

typedef int (*read_batch)(void *engine, const int *ids, void **values, int count);
typedef int (*read_one)(void *engine, int id, void *value);
typedef int (*stop)(void *engine);

enum { WRITE = 17 }; /* UC_MEM_WRITE */

static int is_inside(state *s, uint64_t address)
{
    const hostmap_table ranges = {s->range_count, AT(const hostmap_range *, s->ranges)};
    return hostmap_find(&ranges, address, 1, &s->range_last) != NULL;
}

static void add_row(state *s, void *engine, uint64_t step, uint64_t address)
{
    if (!s->width)
        return;
    uint64_t *values = AT(uint64_t *, s->values);
    if (s->count == 1)
        AT(read_one, s->read_one)(engine, *AT(const int *, s->ids), *AT(void **, s->pointers));
    else if (s->count)
        AT(read_batch, s->read_batch)(engine, AT(const int *, s->ids), AT(void **, s->pointers), (int)s->count);
    values[s->pc_at] = address;
    values[s->step_at] = step;
    if (s->guarded) {
        const hostmap_table *memory = AT(const hostmap_table *, s->memory);
        if (s->g_word)
            values[s->g_at] = hostmap_word(memory, s->g_word, s->word, &s->g_last);
        uint64_t g = values[s->g_at];
        values[s->guard_at] = g ? hostmap_word(memory, g + s->guard_offset, s->word, &s->guard_last) : 0;
    }
    uint64_t *row = AT(uint64_t *, s->rows + s->rows_used);
    s->rows_used += s->width;
    if (s->width > 32) {
        memcpy(row, values, s->width);
        return;
    }
    for (uint64_t *end = row + s->width / 8; row < end;) /* for few words a call costs more than the copy */
        *row++ = *values++;
}

static void on_step(void *engine, uint64_t address, uint32_t size, void *data)
{
    state *s = data;
    (void)size;
    if (s->steps >= s->limit) {
        if (!s->full || s->rows_used + s->width > s->rows_room) {
            AT(stop, s->stop)(engine);
            return;
        }
        *AT(uint64_t *, s->full) = 1; /* there is room yet until the next block */
    }
    uint64_t step = s->steps++;
    if (s->range_count) {
        s->inside = is_inside(s, address);
        if (!s->inside)
            return;
    }
    add_row(s, engine, step, address);
}

/* Where only the instructions of the ranges are announced: the state that control has left them with. */
static void on_block(void *engine, uint64_t address, uint32_t size, void *data)
{
    state *s = data;
    (void)size;
    if (!s->inside || is_inside(s, address))
        return;
    s->inside = 0;
    if (s->rows_used + s->width <= s->rows_room)
        add_row(s, engine, s->steps, address);
    s->steps++;
}

static void on_access(void *engine, int kind, uint64_t address, int size, int64_t value, void *data)
{
    state *s = data;
    (void)engine;
    int write = kind == WRITE;
    if (!s->inside || !(write ? s->writes : s->reads))
        return;
    if (s->accesses_used + sizeof(entry) > s->accesses_room) {
        s->lost++;
        return;
    }
    uint64_t stored = write ? (uint64_t)value : 0;
    if (size < 8)
        stored &= ((uint64_t)1 << (8 * size)) - 1;
    entry *new = AT(entry *, s->accesses + s->accesses_used);
    *new = (entry){s->steps - 1, address, stored, (uint32_t)size, (uint32_t)write};
    s->accesses_used += sizeof *new;
    if (s->accesses_used > s->accesses_most)
        s->limit = 0; /* never stopped here, where the access is under way: before the next instruction */
}

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "emu._recorder",
    .m_doc = "Addresses of the recorder's native callbacks, and the size of the record that they work on.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__recorder(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (PyModule_AddObject(module, "STEP", PyLong_FromVoidPtr((void *)on_step)) < 0 ||
        PyModule_AddObject(module, "ACCESS", PyLong_FromVoidPtr((void *)on_access)) < 0 ||
        PyModule_AddObject(module, "BLOCK", PyLong_FromVoidPtr((void *)on_block)) < 0 ||
        PyModule_AddIntConstant(module, "SIZE", sizeof(state)) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
