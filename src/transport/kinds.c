#include "transport/kinds.h"

static const weft_transport_kind *const kinds[] = {
#define KIND(name) &weft_transport_##name,
#include "transport/kinds.def"
#undef KIND
    NULL,
};

const weft_transport_kind *const *weft_transport_kinds(void)
{
    return kinds;
}

const weft_transport_kind *weft_transport_kind_get(int64_t choice)
{
    return kinds[choice];
}

const weft_transport_kind *weft_transport_launched(int32_t *out_count, const char **out_variable)
{
    *out_count = 0;
    for (const weft_transport_kind *const *kind = kinds; *kind; kind++) {
        if ((*kind)->processes) *out_count = (*kind)->processes->launched(out_variable);
        if (*out_count > 0) return *kind;
    }
    return NULL;
}
