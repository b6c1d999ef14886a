/* Which code of pairs.h this processor and the environment allow. */
#include "device/cpu/pairs.h"

#if defined(WEFT_HAVE_PAIRS)
extern const weft_pairs_code weft_pairs_avx512;
static const weft_pairs_code *const code = &weft_pairs_avx512;
#else
static const weft_pairs_code *const code = NULL;
#endif

const weft_pairs_code *weft_pairs_find(weft_element element)
{
    const bool runs = element == WEFT_BF16 && code != NULL && code->runs() && weft_onednn_multiplies_pairs();
    return runs ? code : NULL;
}
