# contrib's own tests: generic WAL, operator classes for every index access method, modules that read pages.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataOracle;
use StrataWorkload;
use Test::More;

my $workload = sub {
	my ($node) = @_;
	my @modules = qw(bloom btree_gin btree_gist citext cube hstore intarray ltree pageinspect pg_trgm pg_visibility pgstattuple seg);
	cmp_ok(run_contrib($node, @modules), '>', 50, "contrib's tests have run");
};
pitr_test('contrib', $workload, records => 20, commits => 2);
wal_test('contrib', $workload);
done_testing();
