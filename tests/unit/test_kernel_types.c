/* SPDX-License-Identifier: GPL-2.0 */
/* user/lib/kernel_types.c: the small BTF says of each member what the kernel's own says. */
#include <bpf/btf.h>
#include <criterion/criterion.h>
#include <string.h>

#include "kernel_types.h"

/* The kind and size of what a member is, without names and qualifiers. */
static const struct btf_type *bare_type(const struct btf *btf, __u32 id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	while (btf_is_mod(type) || btf_is_typedef(type))
		type = btf__type_by_id(btf, type->type);
	return type;
}

static void expect_same(const struct btf *small, const struct btf *kernel, const char *name)
{
	__s32 own = btf__find_by_name_kind(small, name, BTF_KIND_STRUCT);
	__s32 other = btf__find_by_name_kind(kernel, name, BTF_KIND_STRUCT);
	const struct btf_type *a, *b;

	cr_assert_eq(own > 0, other > 0, "%s is in one of them", name);
	if (own <= 0)
		return;
	a = btf__type_by_id(small, (__u32)own);
	b = btf__type_by_id(kernel, (__u32)other);
	cr_expect_eq(a->size, b->size);
	cr_assert_eq(btf_vlen(a), btf_vlen(b), "%s has %u members", name, btf_vlen(a));
	for (__u32 i = 0; i < btf_vlen(a); i++) {
		const struct btf_member *here = &btf_members(a)[i], *there = &btf_members(b)[i];
		const char *member = btf__name_by_offset(kernel, there->name_off);

		cr_expect_str_eq(btf__name_by_offset(small, here->name_off), member);
		cr_expect_eq(here->offset, there->offset, "%s.%s", name, member);
		cr_expect_eq(btf_kind(bare_type(small, here->type)),
			     btf_kind(bare_type(kernel, there->type)), "%s.%s", name, member);
		cr_expect_eq(btf__resolve_size(small, here->type),
			     btf__resolve_size(kernel, there->type), "%s.%s", name, member);
	}
}

Test(kernel_types, members_are_where_the_kernel_has_them)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	const char *path = kernel_types_path();
	struct btf *small;

	if (!kernel) {
		cr_expect_null(path);
		cr_skip("this kernel has no BTF");
	}
	cr_assert_not_null(path);
	small = btf__parse(path, NULL);
	cr_assert_not_null(small);
	cr_assert_gt(btf__find_by_name_kind(small, "tcp_sock", BTF_KIND_STRUCT), 0);
	expect_same(small, kernel, "tcp_sock");
	expect_same(small, kernel, "sk_buff");
	expect_same(small, kernel, "mptcp_sock");
	btf__free(small);
	btf__free(kernel);
}

Test(kernel_types, is_made_once)
{
	cr_expect_eq(kernel_types_path(), kernel_types_path());
}
