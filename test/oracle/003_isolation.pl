# PostgreSQL's isolation suite: many transactions at once, row locks, multixacts, prepared transactions.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataOracle;
use StrataWorkload;
use Test::More;

my $workload = sub {
	my ($node, $oracle) = @_;
	cmp_ok(run_suite($node, $oracle, 'isolation', 10), '>', 100, 'the isolation suite has run');
};
pitr_test('isolation', $workload, records => 20, commits => 2);
wal_test('isolation', $workload);
done_testing();
