// SPDX-License-Identifier: GPL-2.0
/* See status_page.h. */
#include "status_page.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static const unsigned char bytes[] = {
#include "status_page.inc"
	'\0'
};
static const char *const html = (const char *)bytes;

/* SHA-256 as base64, with its NUL. */
#define HASH_TEXT_MAX 48

/* The hash of what stands between two tags, as a browser makes it. */
static int hash_between(const char *start_tag, const char *end_tag, char hash[HASH_TEXT_MAX])
{
	const char *start = strstr(html, start_tag);
	const char *end = start ? strstr(start, end_tag) : NULL;
	unsigned char digest[32];

	if (!end)
		return -EINVAL;
	start += strlen(start_tag);
	if (!EVP_Digest(start, (size_t)(end - start), digest, NULL, EVP_sha256(), NULL))
		return -ENOTSUP;
	EVP_EncodeBlock((unsigned char *)hash, digest, sizeof(digest));
	return 0;
}

int status_page_init(struct status_page *page)
{
	char style[HASH_TEXT_MAX], script[HASH_TEXT_MAX];
	int result = hash_between("<style>", "</style>", style);

	result = result ?: hash_between("<script>", "</script>", script);
	page->html = html;
	page->size = sizeof(bytes) - 1;
	snprintf(page->policy, sizeof(page->policy),
		 "default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; img-src data:; "
		 "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		 style, script);
	return result;
}
