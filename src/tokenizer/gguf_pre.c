#include "tokenizer/gguf_parts.h"

/* Those of llama.cpp that the scanners know. */
const weft_gguf_pre weft_gguf_pres[] = {
    {"gpt-2|phi-2|gigachat|a.x-4.0|mellum|exaone4|olmo|jais|trillion|granite-docling|", "gpt2", false, false, false,
     NULL},
    {"smollm|starcoder|refact|command-r|codeshell|exaone|minerva-7b|mellum2|", "gpt2", true, false, false, NULL},
    {"llama-bpe|llama3|llama-v3|falcon3|falcon-h1|pixtral|midm-2.0|lfm2|", "llama3", false, true, true, NULL},
    {"smaug-bpe|dbrx|chatglm-bpe|", "llama3", false, false, false, NULL},
    {"glm4|glm5|", "llama3", false, true, false, NULL},
    {"qwen2|", "qwen", false, false, false, "NFC"},
    {"deepseek-r1-qwen|megrez|stablelm2|hunyuan|solar-open|kormo|grok-2|", "qwen", false, false, false, NULL},
    {"qwen35|", "qwen3.5", false, false, false, "NFC"},
    {"tekken|", "tekken", false, true, true, NULL},
    {"gpt-4o|llama4|kanana2|", "o200k", false, false, false, NULL},
};
const size_t weft_gguf_pre_count = sizeof weft_gguf_pres / sizeof *weft_gguf_pres;
