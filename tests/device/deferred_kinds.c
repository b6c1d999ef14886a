/* The table of kinds with one row more: a program that links it has this one in place of the library's. */
#include "deferred.h"
#include "device/kinds.h"

const weft_device_kind *const weft_device_kind_table[] = {
#define KIND(name) &weft_device_##name,
#include "device/kinds.def"
#undef KIND
    &weft_device_deferred,
    NULL,
};
