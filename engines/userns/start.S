/* launch/ is linked into every helper, and the trap engine has its own entry: so each program names its entry
 * itself. */
#include "launch/start.S"
