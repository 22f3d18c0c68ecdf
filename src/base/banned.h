/* banned.h - library functions that this project does not use; `make lint` reads this list.
 *
 * Each line names a function and what to use instead. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#define BANNED_strcpy "snprintf or memcpy: they are told how much room there is"
#define BANNED_strcat "snprintf"
#define BANNED_strncpy "snprintf: strncpy may leave out the final NUL"
#define BANNED_strncat "snprintf"
#define BANNED_sprintf "snprintf"
#define BANNED_vsprintf "vsnprintf"
#define BANNED_gets "fgets"
#define BANNED_scanf "config/size.h"
#define BANNED_sscanf "config/size.h: sscanf has no overflow check"
#define BANNED_atoi "config/size.h: atoi has no error"
#define BANNED_atol "config/size.h"
#define BANNED_atoll "config/size.h"
#define BANNED_strtok "strcspn: strtok is not for threads"
#define BANNED_alloca "malloc: a stack has no error return"
#define BANNED_system "nothing: the monitor starts no other program"
#define BANNED_popen "nothing"
#define BANNED_tmpnam "mkstemp"
#define BANNED_assert "an error return: a guest must not be able to end the monitor"

#endif
