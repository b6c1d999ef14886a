#include "plan/csv.h"

bool weft_plan_csv_cell(const char **at, const char *end, char *out, size_t size)
{
    const char *from = *at;
    size_t length = 0;
    bool quoted = from < end && *from == '"';
    if (quoted) from++;
    for (; from < end; from++) {
        char c = *from;
        if (quoted && c == '"') {
            if (from + 1 < end && from[1] == '"')
                from++;
            else {
                quoted = false;
                continue;
            }
        } else if (!quoted && (c == ',' || c == '\n')) {
            break;
        }
        if (length + 1 < size && c != '\r') out[length++] = c;
    }
    out[length] = '\0';
    bool goes_on = from < end && *from == ',';
    *at = from < end ? from + 1 : from;
    return goes_on;
}
