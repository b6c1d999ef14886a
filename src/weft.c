/* The public functions of include/weft/weft.h. WEFT_VERSION comes from the build. */
#include <weft/weft.h>

const char *weft_version(void)
{
    return WEFT_VERSION;
}
