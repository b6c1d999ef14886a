/*
 * The operations of a device as a table: for each one, what its operands are and how it is called. A trial is one
 * operation with sizes, element type and operand values; it can be run on any kind of device.
 *
 * Owns: a trial owns its operands' bytes.  Threads: a trial belongs to one; the tables are const.
 */
#ifndef WEFT_TESTS_DEVICE_OPERATIONS_H
#define WEFT_TESTS_DEVICE_OPERATIONS_H

#include "base/memory.h"
#include "device/device.h"

enum { MAX_OPERANDS = 10, MAX_SIZES = 8, MAX_PAIRS = 3, SCALARS_VALUES = 16, MOST_RUNS = 64 };

typedef enum operand_role {
    IN,     /* must come back unchanged */
    OUT,    /* every element is written: filled with NaN before */
    IN_OUT, /* read and written */
    ADD,    /* a sum: written, or added to when accumulate */
} operand_role;

typedef enum operand_type { STORAGE, FLOAT, DOUBLE, INTEGER, SCALARS } operand_type;

typedef enum operand_fill {
    NORMAL,
    POSITIVE, /* squares of normals */
    TOKENS,   /* 0 .. limit - 1 */
    TARGETS,  /* the same, and -1 for about every fourth */
    PERMUTED, /* 0 .. count - 1 in another order */
    RUNS,     /* limit: T MOST_RUNS + n; where in its T each of at most n runs begins, in other places in each T */
    COSINE,
    SINE, /* of the angles that COSINE has */
} operand_fill;

typedef struct test_operand {
    const char *name; /* operands of one name and count hold the same values in every operation */
    operand_role role;
    operand_type type;
    int64_t count; /* 0: the operand is absent, a NULL pointer */
    operand_fill fill;
    int64_t limit;
} test_operand;

/* What an operation is called with. workspace_bytes is what the kind asks for. */
typedef struct test_operation {
    const char *name;
    int (*describe)(const int64_t *sizes, test_operand *out);
    void (*run)(weft_device *device, const int64_t *sizes, void **operands, bool accumulate, void *workspace);
    size_t (*workspace_bytes)(const weft_device_kind *kind, const weft_device_options *options, const int64_t *sizes);
    /* Largest ||a - b|| / ||b|| of an output against the reference in fp32. */
    struct {
        double fp32, bf16_storage,
            bf16_other; /* all outputs in fp32; with storage bf16, those in bf16 and the others */
    } bounds;
    /* Of a backward operation: its forward, which output of that one has a gradient, where that gradient comes in
     * (NULL: it is 1), and which output here is the gradient of which input. */
    struct {
        const char *forward, *output, *seed;
        struct {
            const char *of, *gradient;
        } pairs[MAX_PAIRS];
        double step, bound; /* of the finite differences */
    } differences;
} test_operation;

const test_operation *operation_find(const char *name); /* or NULL */

enum case_use {
    VALUES = 1,      /* compared with the reference */
    DIFFERENCES = 2, /* compared with finite differences */
    BITS = 4,        /* same bits again and with another thread count */
    ALL = 7,
    CPU_SIZES = 8, /* for how the cpu device cuts its work; the others take long and do nothing else there */
};

typedef struct operation_case {
    const char *operation;
    int64_t sizes[MAX_SIZES];
    unsigned uses;
} operation_case;

extern const operation_case operation_cases[]; /* ends with a NULL operation */

typedef struct test_trial {
    const test_operation *operation;
    const int64_t *sizes;
    weft_element element;
    int count;
    test_operand operands[MAX_OPERANDS];
    void *before[MAX_OPERANDS], *after[MAX_OPERANDS]; /* NULL where absent */
    bool canary_hit, input_changed;
} test_trial;

/* Values come from the operands' names; what a forward operation keeps for this one is computed by the reference. */
void trial_init(test_trial *trial, const char *operation, const int64_t *sizes, weft_element element);
/* The same values in another element type. */
void trial_init_copy(test_trial *copy, const test_trial *from, weft_element element);
void trial_fini(test_trial *trial);
void trial_run(test_trial *trial, const weft_device_kind *kind, int32_t threads, bool accumulate);
/* The same on an instance that the caller made; its hook is called by the operation only, not by the copies. */
void trial_run_on(test_trial *trial, const weft_device_kind *kind, weft_device *device, bool accumulate);

int trial_find(const test_trial *trial, const char *name); /* index of the operand, or -1 when absent */
size_t trial_bytes(const test_trial *trial, int index);
int64_t trial_values(const test_trial *trial, int index); /* how many numbers the operand holds */
double trial_get(const test_trial *trial, int index, const void *bytes, int64_t at);
void trial_put(const test_trial *trial, int index, void *bytes, int64_t at, double value);

/* ||a - b|| / ||b|| over an output, b's norm taken as at least 1e-6 an element; infinite when one is not finite and
 * the other is not the same infinity. */
double trial_error(const test_trial *a, const test_trial *b, int index);
bool trial_same_bits(const test_trial *a, const test_trial *b, int index);

/* Whether this machine has one. */
bool kind_is_here(const weft_device_kind *kind);

#endif
