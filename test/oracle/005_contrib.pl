# contrib's own tests: generic WAL, operator classes for every index access method, modules that read pages.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataConsistency;
use StrataOracle;
use StrataSuites;
use Test::More;

my $workload = sub {
	my ($node, $oracle) = @_;
	my @modules = qw(amcheck bloom btree_gin btree_gist citext cube earthdistance hstore intarray isn lo ltree pageinspect pg_trgm
	  pg_visibility pgstattuple seg tablefunc unaccent);
	cmp_ok(run_contrib($node, $oracle, @modules), '>', 50, "contrib's tests have run");
};
pitr_test('contrib', $workload, anywhere => 8, odd => 10, commits => 1, groups => 8);
wal_test('contrib', $workload);
done_testing();
