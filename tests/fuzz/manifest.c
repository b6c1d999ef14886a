/* A checkpoint's manifest: as it is, and with a checksum that fits, so that what lies behind it is reached too. */
#include "fuzz.h"

#include "checkpoint/manifest.h"

#include <inttypes.h>
#include <xxhash.h>

static void parse(const void *bytes, size_t size)
{
    weft_manifest manifest;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_manifest_parse(&manifest, bytes, size, "checkpoint.yaml", &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) weft_manifest_fini(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    weft_text sealed;
    parse(bytes, size);
    weft_text_init(&sealed);
    weft_text_add_bytes(&sealed, bytes, size);
    weft_text_add(&sealed, "checksum: 0x%016" PRIx64 "\n",
                  (uint64_t)XXH3_64bits(weft_text_get(&sealed), sealed.length));
    parse(weft_text_get(&sealed), sealed.length);
    weft_text_fini(&sealed);
    return 0;
}
