/* make_folder ROOT FAMILY [parts|nan|tied]: writes ROOT/FAMILY, in three files, or with a fault: a number that is none
 * in the last layer, a tied head that is another than the embedding. */
#include "folders.h"

#include <math.h>
#include <string.h>

static void spoil(made_folder *folder, const char *how)
{
    if (strcmp(how, "parts") == 0) folder->files = 3;
    if (strcmp(how, "nan") == 0) folder_find(folder, "model.layers.1.mlp.down_proj.weight")->values[157] = NAN;
    if (strcmp(how, "tied") == 0) folder_add(folder, "lm_head.weight", 2, 23, 16);
}

int main(int count, char **arguments)
{
    made_folder folder;
    if (count < 3) return 2;
    folder_make(&folder, arguments[1], arguments[2]);
    if (count > 3) spoil(&folder, arguments[3]);
    folder_write(&folder);
    folder_free(&folder);
    return 0;
}
