// SPDX-License-Identifier: GPL-2.0
/* See file_limit.h. */
#include "file_limit.h"

#include <sys/resource.h>

void file_limit_raise(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}
