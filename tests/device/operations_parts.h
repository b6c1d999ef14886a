/*
 * What the files of the operations' table share: operations.c has the layers of a model, operations_step.c what a step
 * does besides. Included by these only.
 *
 * Threads: any; the tables are const.
 */
#ifndef WEFT_TESTS_DEVICE_OPERATIONS_PARTS_H
#define WEFT_TESTS_DEVICE_OPERATIONS_PARTS_H

#include "operations.h"

#include <string.h>

/* The body of a describe: copies the operands to out. */
#define DESCRIBE(...)                                                                                                  \
    const test_operand list[] = {__VA_ARGS__};                                                                         \
    memcpy(out, list, sizeof list);                                                                                    \
    return (int)(sizeof list / sizeof list[0])

#define OPERATION(operation) .name = #operation, .describe = operation##_operands, .run = operation

/* They end with no name. Bounds: one rounding to bf16 costs 1.7e-3 by their measure, at most 3.9e-3; one to fp32
 * 2.5e-8. */
extern const test_operation layer_operations[], step_operations[];

#endif
