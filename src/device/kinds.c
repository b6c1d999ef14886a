/* In a file of its own, so that a program that defines the table itself, with more rows, is linked without this one. */
#include "device/kinds.h"

const weft_device_kind *const weft_device_kind_table[] = {
#define KIND(name) &weft_device_##name,
#include "device/kinds.def"
#undef KIND
    NULL,
};
