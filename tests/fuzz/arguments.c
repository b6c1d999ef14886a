/* A verb's arguments, with zero bytes between, and what its flags would be as numbers. */
#include "fuzz.h"

#include "cli/verb.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_WORDS = 16 };

static void read_numbers(const weft_arguments *arguments, const weft_verb *verb)
{
    for (const weft_option *option = verb->options; option->name; option++) {
        int64_t whole = 0;
        double number = 0;
        weft_error error;
        weft_error_clear(&error);
        weft_status status = weft_arguments_int(arguments, option->name, 3, -5, 1000, &whole, &error);
        fuzz_check_refusal(status, &error);
        fuzz_check(status != WEFT_OK || (whole >= -5 && whole <= 1000), "a number is out of its range");
        weft_error_clear(&error);
        status = weft_arguments_double(arguments, option->name, 0.5, 0, 1e9, &number, &error);
        fuzz_check_refusal(status, &error);
        fuzz_check(status != WEFT_OK || (number >= 0 && number <= 1e9), "a number is out of its range");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    char *words[MOST_WORDS];
    int count = 0;
    const weft_verb *verb = NULL;
    weft_arguments arguments;
    weft_error error;
    weft_error_clear(&error);
    while (from.left > 0 && count < MOST_WORDS) words[count++] = fuzz_string(&from);
    weft_status status = weft_verb_find(count ? words[0] : "", &verb, &error);
    if (status == WEFT_OK) {
        status = weft_arguments_parse(&arguments, verb, count - 1, words + 1, &error);
        if (status == WEFT_OK && !arguments.wants_help) {
            fuzz_check(arguments.operand_count >= verb->least, "too few operands");
            fuzz_check(verb->most < 0 || arguments.operand_count <= verb->most, "too many operands");
            read_numbers(&arguments, verb);
        }
        weft_arguments_fini(&arguments);
    }
    fuzz_check_refusal(status, &error);
    while (count > 0) free(words[--count]);
    return 0;
}
