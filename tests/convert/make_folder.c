/* make_folder ROOT FAMILY: writes ROOT/FAMILY. */
#include "folders.h"

int main(int count, char **arguments)
{
    made_folder folder;
    if (count != 3) return 2;
    folder_make(&folder, arguments[1], arguments[2]);
    folder_write(&folder);
    folder_free(&folder);
    return 0;
}
