/* The table of kinds with cuda, whose runtime is the emulator: a program that links it has this one in place of the
 * library's. */
#include "device/kinds.h"

const weft_device_kind *const weft_device_kind_table[] = {
#define KIND(name) &weft_device_##name,
#include "device/kinds.def"
#undef KIND
    NULL,
};
