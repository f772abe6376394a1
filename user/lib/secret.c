// SPDX-License-Identifier: GPL-2.0
/* See secret.h: anonymous memory with MADV_WIPEONFORK. */
#include "secret.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

void *secret_new(size_t size)
{
	void *secret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (secret == MAP_FAILED)
		return NULL;
	if (madvise(secret, size, MADV_DONTDUMP) < 0 || secret_inherit(secret, size, false)) {
		munmap(secret, size);
		return NULL;
	}
	return secret;
}

int secret_inherit(void *secret, size_t size, bool inherit)
{
	return madvise(secret, size, inherit ? MADV_KEEPONFORK : MADV_WIPEONFORK) < 0 ? -errno : 0;
}

void secret_free(void *secret, size_t size)
{
	if (!secret)
		return;
	explicit_bzero(secret, size);
	munmap(secret, size);
}
