# PostgreSQL's isolation suite: many transactions at once, row locks, multixacts, prepared transactions.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataConsistency;
use StrataOracle;
use StrataSuites;
use Test::More;

my $workload = sub {
	my ($node, $oracle) = @_;
	cmp_ok(run_suite($node, $oracle, 'isolation', 15), '>', 100, 'the isolation suite has run');
};
pitr_test('isolation', $workload, conf => { checkpoint_timeout => "'30s'" }, anywhere => 8, odd => 12, commits => 2, groups => 14);
wal_test('isolation', $workload);
done_testing();
