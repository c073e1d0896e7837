# PostgreSQL's regression suite.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataOracle;
use StrataWorkload;
use Test::More;

my $workload = sub {
	my ($node, $oracle) = @_;
	cmp_ok(run_suite($node, $oracle, 'regress', 5), '>', 200, 'the regression suite has run');
};
my %conf = (autovacuum => 'on', shared_buffers => "'128MB'");
pitr_test('regression', $workload, conf => \%conf, records => 40, commits => 3);
wal_test('regression', $workload, conf => { %conf, checkpoint_timeout => "'30s'" }, full_page_writes => 'on');
done_testing();
