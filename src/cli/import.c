/* weft import: a run folder from a model of others. */
#include "cli/verb.h"
#include "convert/convert.h"

static weft_status describe(const weft_model_config *model, const char *family, const char *missing, const char *run,
                            weft_error *error)
{
    int64_t elements = 0;
    weft_parameter parameter;
    for (int64_t i = 0; weft_model_parameter(model, i, &parameter); i++)
        if (!parameter.tied) elements += parameter.elements;
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text, "model  %s: ", family);
    weft_text_add_count(&text, model->layers, "layer");
    weft_text_add(&text, ", width %lld, context %lld, ", (long long)model->width, (long long)model->context);
    weft_text_add_count(&text, elements, "parameter");
    if (*missing) weft_text_add(&text, "\nleft   its tokenizer: %s", missing);
    weft_text_add(&text, "\nrun    %s\nnext   weft train %s/config.yaml data.path=TOKENS --resume\n", run, run);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status import_folder(const char *path, int64_t context, const char *out, weft_error *error)
{
    weft_folder *folder = NULL;
    TRY(weft_folder_open(path, context, &folder, error));
    weft_status status = weft_import(folder, out, error);
    if (status == WEFT_OK) status = describe(weft_folder_model(folder), weft_folder_family(folder), "", out, error);
    weft_folder_close(folder);
    return status;
}

static weft_status import_gguf(const char *path, int64_t context, const char *out, weft_error *error)
{
    weft_gguf_model *model = NULL;
    weft_text missing;
    TRY(weft_gguf_model_open(path, context, &model, error));
    weft_text_init(&missing);
    weft_status status = weft_gguf_import(model, out, &missing, error);
    if (status == WEFT_OK)
        status = describe(weft_gguf_model_get(model), weft_gguf_model_architecture(model), weft_text_get(&missing), out,
                          error);
    weft_text_fini(&missing);
    weft_gguf_model_close(model);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    const char *path = arguments->operands[0], *out = weft_arguments_get(arguments, "out");
    int64_t context = 0;
    TRY(weft_arguments_int(arguments, "context", 0, 1, INT32_MAX, &context, error));
    return (weft_gguf_model_is(path) ? import_gguf : import_folder)(path, context, out, error);
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "FOLDER holds config.json and model.safetensors, whole or in parts with an index, of gpt2, llama, mistral,\n"
        "qwen2, qwen3 or starcoder2; FILE.gguf a model of llama.cpp, of gpt2, llama, qwen2, qwen3 or starcoder2, in\n"
        "F32, F16, BF16, Q8_0, Q4_0 or Q4_1. RUN gets the weights as the checkpoint of step 0, a config.yaml that\n"
        "trains them, and in RUN/source config.json and the tokenizer's files. A key that weft does not know is "
        "refused.\n");
}

static const weft_option options[] = {
    {"out", "RUN", "the run folder, new or empty"},
    {"context", "T", "longest sequence, at most the model's (that)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_import = {
    .name = "import",
    .summary = "Makes a run folder from a model of Hugging Face or llama.cpp",
    .operands = "FOLDER|FILE.gguf",
    .options = options,
    .needed = 1,
    .least = 1,
    .most = 1,
    .details = details,
    .run = run,
};
