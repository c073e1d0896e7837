# PostgreSQL's regression suite.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataConsistency;
use StrataOracle;
use StrataSuites;
use Test::More;

my $workload = sub {
	my ($node, $oracle) = @_;
	cmp_ok(run_suite($node, $oracle, 'regress', 10), '>', 200, 'the regression suite has run');
};
my %conf = (autovacuum => 'on', shared_buffers => "'128MB'", checkpoint_timeout => "'30s'");
pitr_test('regression', $workload, conf => \%conf, anywhere => 12, odd => 16, commits => 2, groups => 14);
wal_test('regression', $workload, conf => \%conf, full_page_writes => 'on');
done_testing();
