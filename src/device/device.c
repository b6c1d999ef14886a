#include "device/kinds.h"

const weft_device_kind *const *weft_device_kinds(void)
{
    return weft_device_kind_table;
}

const weft_device_kind *weft_device_kind_find(const char *name)
{
    for (const weft_device_kind *const *kind = weft_device_kind_table; *kind != NULL; kind++) {
        if (strcmp((*kind)->name, name) == 0) return *kind;
    }
    return NULL;
}

weft_status weft_device_check(const weft_device *device, weft_error *error)
{
    if (device->error.status == WEFT_OK) return WEFT_OK;
    FAIL(error, device->error.status, "%s", device->error.text);
}
