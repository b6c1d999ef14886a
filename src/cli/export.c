/* weft export: a folder of Hugging Face from a checkpoint. */
#include "cli/verb.h"
#include "convert/convert.h"

#include <string.h>

static weft_status element_of(const weft_arguments *arguments, weft_element *out, weft_error *error)
{
    static const char *const names[] = {"f32", "bf16", "f16"};
    const char *name = weft_arguments_get(arguments, "element");
    *out = WEFT_FP32;
    if (!name) return WEFT_OK;
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (weft_element)i;
        return WEFT_OK;
    }
    return weft_arguments_refuse(arguments->verb, error, "--element expects f32, bf16 or f16, not '%s'", name);
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    weft_export_options how = {.file_bytes = 0};
    TRY(element_of(arguments, &how.element, error));
    TRY(weft_arguments_int(arguments, "file-bytes", 5000000000, 1, INT64_MAX / 2, &how.file_bytes, error));
    return weft_export(arguments->operands[0], weft_arguments_get(arguments, "to"), &how, error);
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "The operand is a run folder (its latest checkpoint) or a checkpoint. FOLDER gets config.json, safetensors\n"
        "and, of a run that came from such a folder, the tokenizer's files; it is of the family that the run came\n"
        "from, else of the first of gpt2, llama, mistral, qwen2, qwen3 and starcoder2 that has such models.\n");
}

static const weft_option options[] = {
    {"to", "FOLDER", "the folder, new or empty"},
    {"element", "TYPE", "f32, bf16 or f16 (f32)"},
    {"file-bytes", "N", "most bytes of tensors in one file (5000000000)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_export = {
    .name = "export",
    .summary = "Makes a folder of Hugging Face from a checkpoint",
    .operands = "RUN|CHECKPOINT",
    .options = options,
    .needed = 1,
    .least = 1,
    .most = 1,
    .details = details,
    .run = run,
};
