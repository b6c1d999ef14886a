/* weft export: a folder of Hugging Face or a GGUF file from a checkpoint. */
#include "cli/verb.h"
#include "convert/convert.h"

#include <string.h>

static const struct {
    const char *name;
    weft_gguf_type type;
    weft_element element;
} elements[] = {{"f32", WEFT_GGUF_F32, WEFT_FP32},
                {"bf16", WEFT_GGUF_BF16, WEFT_BF16},
                {"f16", WEFT_GGUF_F16, WEFT_FP16},
                {"q8_0", WEFT_GGUF_Q8_0, WEFT_FP32}};

/* The row of --element; q8_0 is for GGUF files alone. */
static weft_status element_of(const weft_arguments *arguments, bool gguf, size_t *out, weft_error *error)
{
    const char *name = weft_arguments_get(arguments, "element");
    *out = 0;
    if (!name) return WEFT_OK;
    for (*out = 0; *out < (gguf ? 4 : 3); ++*out)
        if (strcmp(name, elements[*out].name) == 0) return WEFT_OK;
    return weft_arguments_refuse(arguments->verb, error, "--element expects f32, bf16%s, not '%s'",
                                 gguf ? ", f16 or q8_0" : " or f16", name);
}

static weft_status export_folder(const weft_arguments *arguments, const char *to, weft_error *error)
{
    weft_export_options how = {.file_bytes = 0};
    size_t element = 0;
    TRY(element_of(arguments, false, &element, error));
    how.element = elements[element].element;
    TRY(weft_arguments_int(arguments, "file-bytes", 5000000000, 1, INT64_MAX / 2, &how.file_bytes, error));
    return weft_export(arguments->operands[0], to, &how, error);
}

static weft_status export_gguf(const weft_arguments *arguments, const char *file, weft_error *error)
{
    size_t element = 0;
    weft_text missing, text;
    TRY(element_of(arguments, true, &element, error));
    if (weft_arguments_has(arguments, "file-bytes"))
        return weft_arguments_refuse(arguments->verb, error, "--file-bytes is for --to: a GGUF file is one");
    weft_text_init(&missing);
    weft_text_init(&text);
    weft_status status = weft_gguf_export(arguments->operands[0], file, elements[element].type, &missing, error);
    if (status == WEFT_OK && missing.length > 0) {
        weft_text_add(&text, "left   the tokenizer: %s\n", weft_text_get(&missing));
        status = weft_cli_print(&text, error);
    }
    weft_text_fini(&text);
    weft_text_fini(&missing);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    const char *to = weft_arguments_get(arguments, "to"), *file = weft_arguments_get(arguments, "gguf");
    if (!to == !file)
        return weft_arguments_refuse(arguments->verb, error, "either --to FOLDER or --gguf FILE has to be given");
    return to ? export_folder(arguments, to, error) : export_gguf(arguments, file, error);
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "The operand is a run folder (its latest checkpoint) or a checkpoint. FOLDER gets config.json, safetensors\n"
        "and, of a run that came from others, the tokenizer's files; it is of the family that the run came from, else\n"
        "of the first of gpt2, llama, mistral, qwen2, qwen3 and starcoder2 that has such models. FILE is one that\n"
        "llama.cpp reads, the tokenizer in it; one of this name is replaced when the new one is whole.\n");
}

static const weft_option options[] = {
    {"to", "FOLDER", "the folder, new or empty"},
    {"gguf", "FILE", "or a GGUF file"},
    {"element", "TYPE", "f32, bf16, f16 or, of a GGUF file, q8_0 (f32)"},
    {"file-bytes", "N", "most bytes of tensors in one file (5000000000)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_export = {
    .name = "export",
    .summary = "Makes a folder of Hugging Face or a GGUF file from a checkpoint",
    .operands = "RUN|CHECKPOINT",
    .options = options,
    .least = 1,
    .most = 1,
    .details = details,
    .run = run,
};
