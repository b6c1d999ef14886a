#include "tensor/element.h"

size_t weft_element_bytes(weft_element element)
{
    return element == WEFT_FP32 ? 4 : 2;
}

const char *weft_element_name(weft_element element)
{
    return element == WEFT_FP32 ? "fp32" : "bf16";
}
