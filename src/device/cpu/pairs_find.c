/* Which code of pairs.h this processor and the environment allow. */
#include "device/cpu/pairs.h"

extern const weft_pairs_code weft_pairs_avx512, weft_pairs_amx;

/* By what oneDNN would use. */
static const weft_pairs_code *const codes[WEFT_BF16_CODES] = {
#ifdef WEFT_HAVE_PAIRS
    [WEFT_BF16_PAIRS] = &weft_pairs_avx512,
#endif
#ifdef WEFT_HAVE_TILES
    [WEFT_BF16_TILES] = &weft_pairs_amx,
#endif
};

const weft_pairs_code *weft_pairs_find(weft_element element)
{
    if (element != WEFT_BF16) return NULL;
    const weft_pairs_code *code = codes[weft_onednn_bf16()];
    return code != NULL && code->runs() ? code : NULL;
}
