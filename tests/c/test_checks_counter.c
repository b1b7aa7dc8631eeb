// SPDX-License-Identifier: LGPL-2.1-or-later
/* counter-drift on a machine of two nodes; those of the lab have one. */
#include <string.h>

#include "census/counts.h"
#include "census/excess.h"
#include "census/holder.h"
#include "census/isolated.h"
#include "check.h"
#include "checks/families.h"

#define NODES 2
#define HUGE 512

/* Enumerators, behind the sizes of LRU lists. */
enum {
	SHMEM = 8,
	SHMEM_THPS,
	FILE_THPS,
	FILE_MAPPED,
	ACQUIRED,
	RELEASED,
	PAGETABLE,
};

static struct pa_layout layout;
static struct pa_node nodes[NODES];
static struct pa_node_count node_counts[NODES + 1];
static struct pa_kernel kernel = {
	.layout = &layout,
	.zones = { .nodes = { .items = nodes, .length = NODES } },
};
static struct pa_counts counts = { .nodes = node_counts };
static struct pa_excess excess;
static struct pa_isolated_count isolated_counts[NODES + 1];
static struct pa_isolated_census isolated = { .nodes = isolated_counts };
static struct pa_holder_result holders[PA_NR_HOLDERS];
static struct pa_census census = {
	.kernel = &kernel,
	.counts = &counts,
	.excess = &excess,
	.isolated = &isolated,
	.holders = holders,
};

static void name(enum pa_enumerator_id id, int64_t value)
{
	layout.enumerators[id].known = true;
	layout.enumerators[id].value = value;
}

/* Each node has what it counts. */
static void make_machine(void)
{
	memset(node_counts, 0, sizeof(node_counts));
	for (unsigned int i = 0; i < NODES; i++) {
		nodes[i] = (struct pa_node){ .id = i, .stats_exact = true };
		nodes[i].stats[SHMEM] = node_counts[i].shmem = 5 * HUGE + 1;
		nodes[i].stats[SHMEM_THPS] = node_counts[i].shmem_thps =
			5 * HUGE;
		nodes[i].stats[FILE_THPS] = node_counts[i].file_thps = HUGE;
		nodes[i].stats[FILE_MAPPED] = node_counts[i].file_mapped = 7;
		node_counts[i].file_mapped_counted = 7;
	}
	counts.pins = 3;
	nodes[0].stats[ACQUIRED] = 10;
	nodes[1].stats[RELEASED] = 7;
}

/* Whether that is all that is found, as a bug; NULL: nothing is. */
static bool finds(const char *text, enum pa_check_status status)
{
	struct pa_findings findings = { 0 };
	struct pa_check_result result = { 0 };
	struct pa_check_context context = {
		.census = &census,
		.kernel = &kernel,
		.findings = &findings,
	};
	bool ret;

	CHECK_OK(pa_check_counter_drift(&context, &result));
	CHECK(result.status == status);
	ret = findings.list.length == (text != NULL);
	if (ret && text)
		ret = findings.list.items[0].severity == PA_BUG &&
		      !strncmp(findings.list.items[0].summary, text,
			       strlen(text));
	pa_findings_deinit(&findings);
	free(result.reason);
	return ret;
}

/* What a huge page leaves behind when it moves from node 0 to node 1. */
static void move(unsigned int counter, int64_t amount)
{
	nodes[0].stats[counter] += amount;
	nodes[1].stats[counter] -= amount;
}

static void test_moved(void)
{
	static const unsigned int left[] = { SHMEM, SHMEM_THPS, FILE_THPS };
	static const char *const lost[] = {
		"nodes from 0: NR_SHMEM is 4610, a recount gives 5122",
		"nodes from 0: NR_SHMEM_THPS is 4608, a recount gives 5120",
		"nodes from 0: NR_FILE_THPS is 512, a recount gives 1024",
	};

	for (unsigned int i = 0; i < 3; i++) {
		make_machine();
		move(left[i], HUGE);
		CHECK(finds(NULL, PA_RAN));
		nodes[0].stats[left[i]] -= HUGE;
		CHECK(finds(lost[i], PA_RAN));
		/* The sum over all of them is not known. */
		nodes[1].stats_exact = false;
		CHECK(finds(NULL, PA_PARTIAL));
	}
	/* What is counted when a page is mapped is its own node's. */
	make_machine();
	nodes[1].stats[FILE_MAPPED]++;
	CHECK(finds("node 1: NR_FILE_MAPPED is 8, a recount gives 7", PA_RAN));
}

static void test_pins(void)
{
	make_machine();
	CHECK(finds(NULL, PA_RAN));
	nodes[1].stats[ACQUIRED]++;
	CHECK(finds("nodes from 0: NR_FOLL_PIN_ACQUIRED less _RELEASED is 4",
		    PA_RAN));
	nodes[0].stats_exact = false;
	CHECK(finds(NULL, PA_PARTIAL));
}

int main(void)
{
	name(PA_ENUM_NR_SHMEM, SHMEM);
	name(PA_ENUM_NR_SHMEM_THPS, SHMEM_THPS);
	name(PA_ENUM_NR_FILE_THPS, FILE_THPS);
	name(PA_ENUM_NR_FILE_MAPPED, FILE_MAPPED);
	name(PA_ENUM_NR_FOLL_PIN_ACQUIRED, ACQUIRED);
	name(PA_ENUM_NR_FOLL_PIN_RELEASED, RELEASED);
	name(PA_ENUM_NR_PAGETABLE, PAGETABLE);
	test_moved();
	test_pins();
	return CHECK_DONE();
}
