/* Which sizes every operation is tried with: one row, odd counts, nothing that a block or vector length divides. */
#include "operations.h"

enum { LAYER = WEFT_LAYERNORM, RMS = WEFT_RMSNORM, GELU = WEFT_GELU, SWIGLU = WEFT_SWIGLU };

const operation_case operation_cases[] = {
    /* N, T, C, V, with positions */
    {"embed_forward", {1, 1, 1, 1, 1}, ALL},
    {"embed_forward", {6, 3, 5, 7, 1}, ALL},
    {"embed_forward", {34, 17, 130, 11, 0}, ALL},
    {"embed_backward", {1, 1, 1, 1, 1}, ALL},
    {"embed_backward", {6, 3, 5, 7, 1}, ALL},
    {"embed_backward", {34, 17, 130, 11, 0}, ALL},
    {"embed_backward", {34, 17, 64, 4, 1}, ALL},

    /* kind, rows, width, with bias, with residual */
    {"norm_forward", {LAYER, 1, 1, 1}, ALL},
    {"norm_forward", {LAYER, 3, 5, 1}, ALL},
    {"norm_forward", {LAYER, 17, 64, 0}, ALL},
    {"norm_forward", {LAYER, 17, 130, 1}, ALL},
    {"norm_forward", {RMS, 1, 1, 0}, ALL},
    {"norm_forward", {RMS, 3, 5, 0}, ALL},
    {"norm_forward", {RMS, 17, 130, 0}, ALL},
    {"norm_backward_input", {LAYER, 1, 1, 1, 0}, VALUES | BITS},
    {"norm_backward_input", {LAYER, 3, 5, 1, 0}, ALL},
    {"norm_backward_input", {LAYER, 17, 64, 0, 1}, ALL},
    {"norm_backward_input", {LAYER, 17, 130, 1, 1}, ALL},
    {"norm_backward_input", {RMS, 1, 1, 0, 1}, VALUES | BITS},
    {"norm_backward_input", {RMS, 3, 5, 0, 0}, ALL},
    {"norm_backward_input", {RMS, 17, 130, 0, 1}, ALL},
    {"norm_backward_weight", {LAYER, 1, 1, 1}, VALUES | BITS},
    {"norm_backward_weight", {LAYER, 3, 5, 1}, ALL},
    {"norm_backward_weight", {LAYER, 17, 130, 1}, ALL},
    {"norm_backward_weight", {LAYER, 259, 64, 1}, ALL},
    {"norm_backward_weight", {RMS, 1, 1, 0}, VALUES | BITS},
    {"norm_backward_weight", {RMS, 3, 5, 0}, ALL},
    {"norm_backward_weight", {RMS, 67, 130, 0}, ALL},

    /* rows, in, out, with bias */
    {"linear_forward", {1, 1, 1, 1}, ALL},
    {"linear_forward", {1, 64, 5, 0}, ALL},
    {"linear_forward", {3, 5, 17, 1}, ALL},
    {"linear_forward", {17, 64, 130, 1}, ALL},
    {"linear_forward", {17, 130, 64, 0}, ALL},
    {"linear_forward", {256, 128, 512, 1}, VALUES | BITS},
    {"linear_forward", {256, 512, 128, 1}, BITS},
    {"linear_forward", {96, 1100, 130, 1}, VALUES | BITS},
    {"linear_forward", {64, 800, 4200, 1}, VALUES | BITS},
    {"linear_forward", {1024, 768, 768, 1}, BITS | FAST_KINDS},
    {"linear_backward_input", {1, 1, 1, 1}, ALL},
    {"linear_backward_input", {1, 64, 5, 0}, ALL},
    {"linear_backward_input", {3, 5, 17, 1}, ALL},
    {"linear_backward_input", {17, 64, 130, 1}, ALL},
    {"linear_backward_input", {256, 128, 512, 1}, VALUES | BITS},
    {"linear_backward_input", {256, 512, 128, 1}, BITS},
    {"linear_backward_input", {96, 130, 1100, 1}, VALUES | BITS},
    {"linear_backward_input", {64, 4200, 1100, 1}, VALUES | BITS},
    {"linear_backward_input", {1024, 768, 768, 1}, BITS | FAST_KINDS},
    {"linear_backward_weight", {1, 1, 1, 1}, ALL},
    {"linear_backward_weight", {1, 64, 5, 0}, ALL},
    {"linear_backward_weight", {3, 5, 17, 1}, ALL},
    {"linear_backward_weight", {17, 64, 130, 1}, ALL},
    {"linear_backward_weight", {17, 130, 64, 0}, ALL},
    {"linear_backward_weight", {256, 128, 512, 1}, VALUES | BITS},
    {"linear_backward_weight", {256, 512, 128, 1}, BITS},
    {"linear_backward_weight", {1100, 130, 200, 1}, VALUES | BITS},
    {"linear_backward_weight", {1024, 768, 768, 1}, BITS | FAST_KINDS},

    /* kind, rows, width */
    {"activation_forward", {GELU, 1, 1}, ALL},
    {"activation_forward", {GELU, 3, 5}, ALL},
    {"activation_forward", {GELU, 17, 130}, ALL},
    {"activation_forward", {SWIGLU, 1, 1}, ALL},
    {"activation_forward", {SWIGLU, 3, 5}, ALL},
    {"activation_forward", {SWIGLU, 17, 130}, ALL},
    {"activation_backward", {GELU, 1, 1}, ALL},
    {"activation_backward", {GELU, 3, 5}, ALL},
    {"activation_backward", {GELU, 17, 130}, ALL},
    {"activation_backward", {SWIGLU, 1, 1}, ALL},
    {"activation_backward", {SWIGLU, 3, 5}, ALL},
    {"activation_backward", {SWIGLU, 17, 130}, ALL},

    /* B, T, heads, D, elements of a row beyond them */
    {"rotary_forward", {1, 1, 1, 2, 0}, ALL},
    {"rotary_forward", {2, 7, 3, 8, 8}, ALL},
    {"rotary_forward", {1, 17, 2, 64, 64}, ALL},
    {"rotary_backward", {1, 1, 1, 2, 0}, ALL},
    {"rotary_backward", {2, 7, 3, 8, 8}, ALL},
    {"rotary_backward", {1, 17, 2, 64, 64}, ALL},

    /* B, T, H, G, D */
    {"attention_forward", {1, 1, 1, 1, 8}, ALL},
    {"attention_forward", {2, 3, 2, 2, 8}, ALL},
    {"attention_forward", {2, 37, 4, 2, 16}, ALL},
    {"attention_forward", {1, 67, 3, 1, 64}, ALL},
    {"attention_forward", {1, 131, 2, 2, 16}, VALUES | BITS},
    {"attention_forward", {2, 256, 4, 4, 32}, VALUES | BITS},
    {"attention_backward", {1, 1, 1, 1, 8}, VALUES | BITS},
    {"attention_backward", {2, 3, 2, 2, 8}, ALL},
    {"attention_backward", {2, 37, 4, 2, 16}, ALL},
    {"attention_backward", {1, 67, 3, 1, 64}, ALL},
    {"attention_backward", {1, 131, 2, 2, 16}, VALUES | BITS},
    {"attention_backward", {2, 256, 4, 4, 32}, VALUES | BITS},

    /* count */
    {"add", {1}, ALL},
    {"add", {1003}, ALL},
    {"add_fp32", {1}, ALL},
    {"add_fp32", {1003}, ALL},
    {"round_to_storage", {1}, ALL},
    {"round_to_storage", {1003}, ALL},
    {"square_sums", {1}, ALL},
    {"square_sums", {1003}, ALL},
    {"square_sums", {WEFT_NORM_BLOCK}, ALL},
    {"square_sums", {2 * WEFT_NORM_BLOCK + 17}, ALL},

    /* N, V */
    {"cross_entropy", {1, 1}, ALL},
    {"cross_entropy", {3, 5}, ALL},
    {"cross_entropy", {17, 130}, ALL},
    {"cross_entropy", {67, 1003}, ALL},
    {"cross_entropy_gradient", {1, 1}, VALUES | BITS},
    {"cross_entropy_gradient", {3, 5}, ALL},
    {"cross_entropy_gradient", {17, 130}, ALL},
    {"cross_entropy_gradient", {67, 1003}, VALUES | BITS},

    /* blocks */
    {"norm_finish", {1}, ALL},
    {"norm_finish", {17}, ALL},

    /* count, with decay, with storage */
    {"adamw", {1, 1, 1}, ALL},
    {"adamw", {67, 0, 1}, ALL},
    {"adamw", {1003, 1, 0}, ALL},
    {"adamw", {70001, 1, 1}, ALL},

    {NULL, {0}, 0},
};
