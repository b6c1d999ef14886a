#include "mutants.h"

#include <stdio.h>
#include <stdlib.h>

static void prove_unharmed(const mutant_set *set, const void *subject, const char *name)
{
    weft_error error;
    weft_error_clear(&error);
    if (set->prove(subject, &error) == WEFT_OK) return;
    printf("%s: refused as it is: %s\n", name, error.text);
    exit(1);
}

static void run_one(const mutant_set *set, const mutant_kind *kind, void *subject, uint32_t i, const char *name,
                    mutant_tally *tally)
{
    char what[256];
    weft_error error;
    weft_error_clear(&error);
    kind->describe(subject, i, what, sizeof what);
    kind->apply(subject, i);
    if (set->prove(subject, &error) != WEFT_OK) {
        tally->caught++;
    } else if (kind->is_implied && kind->is_implied(subject, i)) {
        tally->implied++;
    } else {
        tally->survived++;
        printf("%s: survived: %s\n", name, what);
    }
    kind->undo(subject, i);
}

void mutants_run(const mutant_set *set, void *subject, const char *name, mutant_tally *tally)
{
    prove_unharmed(set, subject, name);
    for (size_t k = 0; k < set->count; k++) {
        uint32_t count = set->kinds[k].count(subject);
        for (uint32_t i = 0; i < count; i++) run_one(set, &set->kinds[k], subject, i, name, &tally[k]);
    }
    prove_unharmed(set, subject, name);
}

bool mutants_report(const mutant_set *set, const mutant_tally *tally, uint64_t subjects)
{
    bool good = true;
    printf("%-28s %10s %10s %10s   (%llu subjects)\n", "mutants", "caught", "implied", "survived",
           (unsigned long long)subjects);
    for (size_t k = 0; k < set->count; k++) {
        printf("%-28s %10llu %10llu %10llu\n", set->kinds[k].name, (unsigned long long)tally[k].caught,
               (unsigned long long)tally[k].implied, (unsigned long long)tally[k].survived);
        good &= tally[k].survived == 0 && tally[k].caught > 0;
    }
    return good;
}
