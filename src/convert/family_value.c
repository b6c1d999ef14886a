/* One key of config.json. */
#include "convert/family.h"

#include <math.h>
#include <string.h>

bool weft_node_is_null(const weft_node *node)
{
    return node->kind == WEFT_NODE_TEXT && !node->quoted && strcmp(node->text, "null") == 0;
}

weft_status weft_family_value(const weft_document *document, const weft_node *map, const weft_family_key *key,
                              const char **out, weft_error *error)
{
    const weft_node *node = weft_node_get(map, key->name);
    double number = 0;
    bool truth = false;
    if (!node || weft_node_is_null(node)) {
        *out = node && key->null ? key->null : key->absent;
        if (*out) return WEFT_OK;
        FAIL(error, WEFT_INVALID, "%s: %s is missing", document->name, key->name);
    }
    if (key->kind == WEFT_KEY_TRUTH)
        TRY(weft_node_truth(document, node, &truth, error));
    else
        TRY(weft_node_number(document, node, &number, error));
    if (key->kind == WEFT_KEY_WHOLE && (number < 1 || number > INT32_MAX || number != floor(number)))
        return weft_document_complain(document, node, error, "%s: must be a whole number from 1 on", key->name);
    if (key->kind == WEFT_KEY_NUMBER && !(number > 0 && number < INFINITY))
        return weft_document_complain(document, node, error, "%s: must be greater than 0", key->name);
    *out = node->text;
    return WEFT_OK;
}
