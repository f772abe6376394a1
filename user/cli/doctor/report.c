/* SPDX-License-Identifier: GPL-2.0 */
/* What the doctor's checks have found: kept as JSON, printed as text. */
#include <stdio.h>
#include <string.h>

#include "doctor.h"

static const char *const severities[] = {
	[SEVERITY_PROBLEM] = "problem",
	[SEVERITY_WARNING] = "warning",
	[SEVERITY_NOTE] = "note",
};

static json_t *current_group(const struct doctor *doctor)
{
	return json_array_get(doctor->groups, json_array_size(doctor->groups) - 1);
}

void report_group(struct doctor *doctor, const char *name)
{
	json_array_append_new(doctor->groups,
			      json_pack("{s:s, s:[], s:[]}", "group", name, "good", "findings"));
}

void report_good(struct doctor *doctor, const char *name)
{
	json_array_append_new(json_object_get(current_group(doctor), "good"), json_string(name));
}

/* A text of several lines as an array of them. */
static json_t *lines(const json_t *text)
{
	const char *line = json_string_value(text);
	json_t *array = json_array();

	while (line && *line) {
		size_t length = strcspn(line, "\n");

		json_array_append_new(array, json_stringn(line, length));
		line += length + (line[length] == '\n');
	}
	return array;
}

void report_finding(struct doctor *doctor, enum severity severity, const char *id, json_t *what,
		    json_t *why, json_t *cure, json_t *advice)
{
	json_t *finding = json_pack("{s:s, s:s, s:o, s:o, s:o}", "id", id, "severity",
				    severities[severity], "what", what ?: json_string(id), "why",
				    why ?: json_string(""), "cure", lines(cure));

	json_object_set_new(finding, "advice", advice ?: json_string(""));
	json_array_append_new(json_object_get(current_group(doctor), "findings"), finding);
	json_decref(cure);
	doctor->counts[severity]++;
}

static const char *member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

static void print_finding(const json_t *finding)
{
	const json_t *cure = json_object_get(finding, "cure");
	const char *lead = "do:  ";
	const json_t *line;
	size_t i;

	printf("  %s: %s\n", member(finding, "severity"), member(finding, "what"));
	if (*member(finding, "why"))
		printf("      why: %s\n", member(finding, "why"));
	if (*member(finding, "advice")) {
		printf("      %s%s\n", lead, member(finding, "advice"));
		lead = "     ";
	}
	json_array_foreach(cure, i, line) {
		printf("      %s%s\n", lead, json_string_value(line));
		lead = "     ";
	}
}

static void print_group(const json_t *group)
{
	const json_t *good = json_object_get(group, "good");
	const json_t *findings = json_object_get(group, "findings");
	const json_t *item;
	size_t i;

	printf("%s:", member(group, "group"));
	json_array_foreach(good, i, item)
		printf("%s %s", i ? "," : "", json_string_value(item));
	printf("%s\n", json_array_size(good)	   ? ""
		       : json_array_size(findings) ? ""
						   : " nothing found");
	json_array_foreach(findings, i, item)
		print_finding(item);
}

static void print_count(unsigned count, const char *name, const char *end)
{
	printf("%u %s%s%s", count, name, count == 1 ? "" : "s", end);
}

void report_print(const struct doctor *doctor)
{
	const json_t *group;
	size_t i;

	json_array_foreach(doctor->groups, i, group)
		print_group(group);
	putchar('\n');
	print_count(doctor->counts[SEVERITY_PROBLEM], severities[SEVERITY_PROBLEM], ", ");
	print_count(doctor->counts[SEVERITY_WARNING], severities[SEVERITY_WARNING], ", ");
	print_count(doctor->counts[SEVERITY_NOTE], severities[SEVERITY_NOTE], "\n");
}
