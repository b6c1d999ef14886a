/* config.json and the index of a folder of Hugging Face: what is accepted is a model that a configuration takes. */
#include "fuzz.h"

#include "base/file.h"
#include "convert/family.h"
#include "convert/folder.h"

#include <stdlib.h>
#include <string.h>

/* What is read as a config.json is written as one that is read again, as the same keys. */
static void check_config(const char *text, size_t length)
{
    weft_document document, again;
    const weft_family *family = NULL;
    weft_text yaml;
    weft_config config;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_document_parse(&document, text, length, "config.json", &error);
    fuzz_check_refusal(status, &error);
    if (status != WEFT_OK) return;
    weft_text_init(&yaml);
    weft_text_add(&yaml, "data: {path: none}\nmodel:\n");
    status = weft_family_read(&document, &family, &yaml, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK)
        status = weft_config_load_text(&config, weft_text_get(&yaml), yaml.length, "fuzz", NULL, 0, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) {
        weft_text out;
        weft_text_init(&out);
        weft_family_write(family, &config.model, &document, WEFT_BF16, &out);
        const weft_family *same = NULL;
        if (weft_document_parse(&again, weft_text_get(&out), out.length, "again", &error) != WEFT_OK)
            fuzz_check(false, error.text);
        weft_text keys;
        weft_text_init(&keys);
        if (weft_family_read(&again, &same, &keys, &error) != WEFT_OK) fuzz_check(false, error.text);
        fuzz_check(same == family, "another family");
        weft_text_fini(&keys);
        weft_document_fini(&again);
        weft_text_fini(&out);
        weft_config_fini(&config);
    }
    weft_text_fini(&yaml);
    weft_document_fini(&document);
}

/* All that the headers promise can be read, or is refused. */
static void check_values(const weft_folder *folder)
{
    weft_parameter parameter;
    weft_error error;
    for (int64_t i = 0; weft_model_parameter(weft_folder_model(folder), i, &parameter); i++) {
        float values[64];
        int64_t count = parameter.elements < 64 ? parameter.elements : 64;
        if (parameter.tied) continue;
        weft_error_clear(&error);
        fuzz_check_refusal(weft_folder_read(folder, &parameter, parameter.elements - count, 1, count, values, &error),
                           &error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    char *config = fuzz_string(&from), *index = fuzz_string(&from);
    weft_folder *folder = NULL;
    weft_error error;
    weft_error_clear(&error);
    check_config(config, strlen(config));
    fuzz_file("config.json", (const uint8_t *)config, strlen(config));
    fuzz_file("model.safetensors.index.json", (const uint8_t *)index, strlen(index));
    fuzz_file("a.safetensors", from.at, from.left);
    weft_status status = weft_folder_open(fuzz_folder(), 0, &folder, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) check_values(folder);
    weft_folder_close(folder);
    free(index);
    free(config);
    return 0;
}
