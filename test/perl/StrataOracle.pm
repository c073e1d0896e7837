# The oracle that we did not write: PostgreSQL's point-in-time recovery, against a travelling session at the same point.
#
# One ordinary server (strata off) is recovered from a base backup and moves from point to point: it replays to the
# recovery target, pauses there as a hot standby, is compared, is stopped, and goes on from where it was.
#
# A point as LSN is where a WAL record ends. recovery_target_lsn with recovery_target_inclusive = off replays the records
# that begin before the target; strata.travel_lsn shows the records that end at or before it. At the end of a record these
# are the same records. A point as time needs no such rule: recovery_target_time means the same to both.
#
# The recovered server's next transaction ID may be ahead: a hot standby also takes it from the RUNNING_XACTS records of
# the primary, which plain recovery does not read and which say nothing about any transaction that left a trace.
package StrataOracle;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata qw(new_node lsn_in);
use StrataWorkload qw(workload_conf);
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(new_observed_node check_wal oracle_seed pitr_test wal_test);

# A started node with history and an archive. The extension is in every database to come.
sub new_observed_node
{
	my ($name, %conf) = @_;
	my $init = delete $conf{init} // [];
	my $node = new_node($name, %conf, init => [ has_archiving => 1, allows_streaming => 1, @$init ]);
	$node->safe_psql($_, 'CREATE EXTENSION strata') for ('template1', 'postgres');
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect');
	return $node;
}

# The seed of the run, and its announcement.
sub oracle_seed
{
	my $seed = $ENV{ORACLE_SEED} // int rand 1_000_000;
	diag("seed $seed: repeat with ORACLE_SEED=$seed");
	return $seed;
}

# One test: a workload, then every point of it. $workload is called with the node, the oracle and the seed.
#   records, commits   how many random points, and how many commits with three points each
sub pitr_test
{
	my ($name, $workload, %option) = @_;
	my $seed = oracle_seed();
	my $node = new_observed_node($name, workload_conf(), %{ $option{conf} // {} });
	$option{prepare}->($node) if $option{prepare};
	my $oracle = StrataOracle->begin($node);
	$workload->($node, $oracle, $seed);

	srand($seed);
	my $rand = sub { rand $_[0] };
	my $factor = $ENV{ORACLE_POINTS_FACTOR} // 1;
	$oracle->at_random_records(int($factor * $option{records}), $rand);
	$oracle->at_random_commits(int($factor * $option{commits}), $rand);
	$oracle->at_lsn(lsn_in($node), 'the end');
	my @differences = $oracle->compare(sub { note($_[0]) });
	diag("$name, seed $seed: " . $oracle->summary);
	is(join("\n", splice(@differences, 0, 20)), '', "$name: at every point a travelling session sees what point-in-time recovery leaves");
	$node->stop;
	return;
}

# One test: a workload with images of every page in WAL, each compared with the page rebuilt at its LSN.
#   full_page_writes   'off' (the default): no page's history starts anew at a checkpoint, and no image takes the place of
#                      a redo routine. The cost grows with the square of the changes to a page: long workloads want 'on'
sub wal_test
{
	my ($name, $workload, %option) = @_;
	my $seed = oracle_seed();
	my $node = new_observed_node("${name}_wal", workload_conf(), %{ $option{conf} // {} });
	$option{prepare}->($node) if $option{prepare};
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_") for ("wal_consistency_checking = 'all'", "wal_compression = 'lz4'",
		'full_page_writes = ' . ($option{full_page_writes} // 'off'));
	$node->reload;
	my $begin = lsn_in($node);
	$workload->($node, undef, $seed);
	my ($summary, $mismatches) = check_wal($node, $begin, sub { diag($_[0]) });
	diag("$name, seed $seed: $summary");
	is($mismatches, '', "$name: every image that PostgreSQL put into WAL to be compared equals the page rebuilt at that LSN");
	$node->stop;
	return;
}

# The oracle of wal_consistency_checking over the WAL from $begin on: its sums, and what differs ('' where nothing does).
# Prints a line for each type of record through $say.
sub check_wal
{
	my ($node, $begin, $say) = @_;
	my $rows = $node->safe_psql('postgres', <<"SQL");
SELECT resource_manager, record_type, sum(records), sum(blocks), sum(compared), sum(redo_calls), sum(mismatches), min(first_mismatch)
FROM strata.check_wal('$begin', pg_current_wal_flush_lsn()) GROUP BY 1, 2 ORDER BY 1, 2
SQL
	my ($types, $records, $compared, $calls, @mismatches) = (0, 0, 0, 0);
	for my $row (split /\n/, $rows)
	{
		my @column = split /\|/, $row, 8;
		$say->(sprintf '%-12s %-24s %8d records, %8d blocks, %8d compared, %9d redo calls, %d mismatches', @column[0 .. 6]);
		$types += $column[4] > 0;
		$records += $column[2];
		$compared += $column[4];
		$calls += $column[5];
		push @mismatches, "$column[0] $column[1]: $column[6] mismatches, $column[7]" if $column[6];
	}
	my $summary = "$records records, $compared images of $types types of record compared, $calls redo calls: "
	  . @mismatches . ' types with differences';
	return ($summary, join("\n", @mismatches));
}

# Takes the base backup: every point must be later.
sub begin
{
	my ($class, $node) = @_;
	$node->backup('base');
	my $self = {
		node => $node,
		start => lsn_in($node),
		points => [],
		recovered => undef,
		clones => 0,
		pages => 0, relations => 0, databases => 0, dumped => 0, xids => 0, multixacts => 0,
		differences => [],
		dir => PostgreSQL::Test::Utils::tempdir };
	return bless $self, $class;
}

# A point that lies where a record ends, and what happens there.
sub at_lsn
{
	my ($self, $lsn, $what) = @_;
	push @{ $self->{points} }, { setting => 'lsn', value => $lsn, lsn => $lsn, what => $what };
	return;
}

sub at_time
{
	my ($self, $time, $what) = @_;
	my $lsn = $self->{node}->safe_psql('postgres', "SELECT strata.lsn_at('$time')");
	push @{ $self->{points} }, { setting => 'time', value => $time, lsn => $lsn, what => $what };
	return;
}

# Points at the ends of `count` records: half of them anywhere, the others around records that change more than a page.
sub at_random_records
{
	my ($self, $count, $rand) = @_;
	my ($node, $from) = @$self{qw(node start)};
	my $to = $node->safe_psql('postgres', 'CHECKPOINT; SELECT pg_current_wal_insert_lsn()');
	my $bytes = $node->safe_psql('postgres', "SELECT ('$to'::pg_lsn - '$from'::pg_lsn)::bigint");
	$self->{wal_bytes} = $bytes;
	my $any = int(($count + 1) / 2);
	for (my $found = 0; $found < $any;)
	{
		my $offset = int $rand->($bytes * 0.999);
		# Behind a switch to the next file there is no record for a while.
		my ($status, $row) = $node->psql('postgres',
			"SELECT end_lsn, 'after ' || resource_manager || ' ' || record_type FROM pg_get_wal_record_info('$from'::pg_lsn + $offset)");
		next if $status != 0;
		$self->at_lsn(split(/\|/, $row, 2));
		++$found;
	}
	my $odd = $node->safe_psql('postgres', <<"SQL");
SELECT start_lsn, 'before ' || resource_manager || ' ' || record_type FROM pg_get_wal_records_info('$from', '$to')
WHERE resource_manager IN ('Storage', 'Database', 'Transaction', 'RelMap', 'Tablespace', 'CLOG', 'MultiXact', 'XLOG')
   OR record_type ~ 'SPLIT|VACUUM|TRUNCATE|NEWROOT|UNLINK|VISIBLE|LOCK|CONFIRM|INPLACE|META|MULTI'
UNION ALL
SELECT end_lsn, 'after ' || resource_manager || ' ' || record_type FROM pg_get_wal_records_info('$from', '$to')
WHERE resource_manager IN ('Storage', 'Database', 'Transaction', 'RelMap', 'Tablespace', 'CLOG', 'MultiXact', 'XLOG')
   OR record_type ~ 'SPLIT|VACUUM|TRUNCATE|NEWROOT|UNLINK|VISIBLE|LOCK|CONFIRM|INPLACE|META|MULTI'
SQL
	# First a kind of record, then one of that kind: commits are many, creations of databases few.
	my %kinds;
	push @{ $kinds{ (split /\|/)[1] } }, (split /\|/)[0] for split /\n/, $odd;
	my @kinds = sort keys %kinds;
	for (1 .. $count - $any)
	{
		my $kind = $kinds[ int $rand->(scalar @kinds) ];
		my @lsns = sort @{ $kinds{$kind} };
		$self->at_lsn($lsns[ int $rand->(scalar @lsns) ], $kind);
	}
	return;
}

# Points at, one microsecond before and after the timestamps of `count` commits.
sub at_random_commits
{
	my ($self, $count, $rand) = @_;
	my ($node, $from) = @$self{qw(node start)};
	my $times = $node->safe_psql('postgres', <<"SQL");
SELECT substring(description FROM '20[0-9-]+ [0-9:.]+[+]00') FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'Transaction' AND record_type ~ '^(COMMIT|ABORT)'
SQL
	my @times = grep { length } split /\n/, $times;
	for (1 .. $count)
	{
		my $time = $times[ int $rand->(scalar(@times) * 0.98) ];
		my $exact = $node->safe_psql('postgres', "SELECT '$time'::timestamptz");
		for my $shift (-1, 0, 1)
		{
			my $at = $node->safe_psql('postgres', "SELECT '$time'::timestamptz + interval '$shift us'");
			$self->at_time($at, "$shift us from a commit");
		}
	}
	return;
}

# Compares all points, in the order of WAL. Prints a line for each through $say.
sub compare
{
	my ($self, $say) = @_;
	my $node = $self->{node};
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	my $end = lsn_in($node);
	$node->safe_psql('postgres', "CHECKPOINT; SELECT strata.wait_for('$end')");
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	$node->poll_query_until('postgres', "SELECT last_archived_wal >= pg_walfile_name('$end') FROM pg_stat_archiver")
	  or die 'WAL is not archived';
	my %order = map {
		my ($high, $low) = split m{/}, $_->{lsn};
		$_ => hex($high) * 4294967296.0 + hex($low)
	} @{ $self->{points} };
	my $number = 0;
	for my $point (sort { $order{$a} <=> $order{$b} } @{ $self->{points} })
	{
		my $begin = time;
		$self->{label} = sprintf('point %d (%s %s, %s)', ++$number, $point->{setting}, $point->{value}, $point->{what});
		my $before = @{ $self->{differences} };
		my $pages = $self->{pages};
		$self->_recover_to($point);
		my $recovered = time;
		$self->_compare_at($point);
		$say->(sprintf('%s: %s, %d pages, recovery %.1f s, comparison %.1f s', $self->{label},
			@{ $self->{differences} } == $before ? 'same' : (@{ $self->{differences} } - $before) . ' DIFFERENCES',
			$self->{pages} - $pages, $recovered - $begin, time - $recovered)) if $say;
		$self->_leave;
	}
	$self->_discard if $self->{recovered};
	return @{ $self->{differences} };
}

sub summary
{
	my ($self) = @_;
	return sprintf(
		'%d points, %d databases, %d relations, %d pages, %d transaction statuses, %d multixacts, %d bytes of dumps compared: %d differences',
		scalar @{ $self->{points} }, @$self{qw(databases relations pages xids multixacts dumped)}, scalar @{ $self->{differences} });
}

sub _clone
{
	my ($self) = @_;
	my $recovered = PostgreSQL::Test::Cluster->new($self->{node}->name . '_recovered' . ++$self->{clones});
	$recovered->init_from_backup($self->{node}, 'base', has_restoring => 1, standby => 0);
	$recovered->append_conf('postgresql.conf', <<'CONF');
strata_enabled = off
archive_mode = off
hot_standby = on
recovery_target_action = pause
statement_timeout = '120s'
include = 'oracle.conf'
CONF
	$recovered->append_conf('postgresql.conf', "shared_preload_libraries = '$ENV{STRATA_TEST_LIBRARIES}/strata_test_frozen.so'");
	$self->{recovered} = $recovered;
	return;
}

sub _recover_to
{
	my ($self, $point) = @_;
	$self->_clone unless $self->{recovered};
	my $recovered = $self->{recovered};
	my $conf = $recovered->data_dir . '/oracle.conf';
	unlink $conf;
	append_to_file($conf, $point->{setting} eq 'lsn'
		? "recovery_target_lsn = '$point->{value}'\nrecovery_target_inclusive = off\n"
		: "recovery_target_time = '$point->{value}'\n");
	$recovered->start;
	my $deadline = time + 300;
	for (;;)
	{
		if (!-e $recovered->data_dir . '/recovery.signal')
		{
			# No snapshot for a hot standby could be had at this point (too many subtransactions were running), so recovery
			# came to its end instead of pausing. What it left is still the state at the point, but it cannot go on.
			$self->{promoted} = 1;
			$recovered->poll_query_until('postgres', 'SELECT true') or die "$self->{label}: the server does not start";
			last;
		}
		# A session may fall victim to what recovery replays meanwhile.
		my (undef, $state) = $recovered->psql('postgres', 'SELECT pg_get_wal_replay_pause_state()');
		last if ($state // '') eq 'paused';
		die "$self->{label}: recovery does not arrive" if time > $deadline;
		sleep 0.05;
	}
	my $replayed = $recovered->safe_psql('postgres', 'SELECT pg_last_wal_replay_lsn()');
	my $behind = $recovered->safe_psql('postgres', "SELECT '$point->{lsn}'::pg_lsn - '$replayed'::pg_lsn");
	# At the end of a page of WAL a point may lie behind the header of the next page.
	$self->_differs("recovery stopped at $replayed, travel goes to $point->{lsn}") if $behind < 0 || $behind > 40;
	return;
}

sub _leave
{
	my ($self) = @_;
	$self->{recovered}->stop('fast');
	$self->_discard if $self->{promoted};
	return;
}

sub _discard
{
	my ($self) = @_;
	rmtree($self->{recovered}->data_dir);
	$self->{recovered} = undef;
	$self->{promoted} = 0;
	return;
}

sub _differs
{
	my ($self, $what) = @_;
	push @{ $self->{differences} }, "$self->{label}: $what";
	return;
}

# What a query answers on the recovered server and in the past.
sub _both
{
	my ($self, $point, $db, $sql) = @_;
	my @got;
	for my $side ([ $self->{recovered}, '' ], [ $self->{node}, "-c strata.travel_lsn=$point->{lsn}" ])
	{
		local $ENV{PGOPTIONS} = $side->[1];
		local $ENV{PGOPTIONS} = "-c strata.travel_time=" . ($point->{value} =~ s/ /\\ /gr)
		  if $side->[1] ne '' && $point->{setting} eq 'time';
		my ($out, $error) = ('', '');
		my $status = $side->[0]->psql($db, $sql, stdout => \$out, stderr => \$error, on_error_stop => 1);
		$self->_differs(($side->[1] eq '' ? 'recovered' : 'past') . " server, database $db: $error") if $status != 0;
		push @got, $out;
	}
	return @got;
}

sub _same
{
	my ($self, $point, $db, $what, $sql) = @_;
	my ($recovered, $past) = $self->_both($point, $db, $sql);
	$self->_differs("$what in $db: recovered '$recovered', past '$past'") if $recovered ne $past;
	return $recovered;
}

my $relations = q{
SELECT c.oid, c.relname, c.relkind, pg_relation_filenode(c.oid), d.fork, d.blocks, d.digest
FROM pg_class c LEFT JOIN LATERAL strata.relation_digest(c.oid) d ON true
WHERE c.relkind IN ('r', 'i', 'S', 't', 'm') AND c.relpersistence <> 't' AND (%s)
ORDER BY c.oid, d.fork};

sub _compare_at
{
	my ($self, $point) = @_;
	my $now = $self->{node}->safe_psql('postgres', 'SELECT datname, oid FROM pg_database WHERE datallowconn');
	my %now = map { $_ => 1 } split /\n/, $now;
	my $then = $self->_same($point, 'postgres', 'databases',
		'SELECT datname, oid FROM pg_database WHERE datallowconn AND datconnlimit <> -2 ORDER BY oid');
	my @then = split /\n/, $then;
	# A database that is gone cannot be connected to.
	my @reachable = map { (split /\|/)[0] } grep { $now{$_} } @then;
	my @gone = map { (split /\|/)[0] } grep { !$now{$_} } @then;

	for my $db (@reachable)
	{
		++$self->{databases};
		if ($self->_same($point, $db, 'functions', q{SELECT count(*) FROM pg_proc WHERE proname = 'relation_digest'}) ne '1')
		{
			$self->_same($point, $db, 'sizes', q{SELECT oid, relname, pg_relation_filenode(oid), pg_relation_size(oid), pg_relation_size(oid, 'vm')
				FROM pg_class WHERE relkind IN ('r', 'i', 'S', 't', 'm') AND relpersistence = 'p' ORDER BY 1});
			next;
		}
		$self->_compare_relations($point, $db);
	}
	$self->_compare_transactions($point);
	$self->_compare_dumps($point, @gone);
	return;
}

sub _compare_relations
{
	my ($self, $point, $db) = @_;
	my ($recovered, $past) = $self->_both($point, $db, sprintf($relations, $db eq 'postgres' ? 'true' : 'NOT c.relisshared'));
	my @recovered = split /\n/, $recovered;
	$self->{relations} += @recovered;
	$self->{pages} += ((split /\|/)[5] || 0) for @recovered;
	return if $recovered eq $past;
	my %past = map { $_ => 1 } split /\n/, $past;
	my %recovered = map { $_ => 1 } @recovered;
	my @only = ((map { "recovered $_" } grep { !$past{$_} } @recovered), (map { "past $_" } grep { !$recovered{$_} } split /\n/, $past));
	@only = sort { (split / /, $a, 2)[1] cmp (split / /, $b, 2)[1] } @only;
	$self->_differs("relations in $db: " . join(', ', splice(@only, 0, 12)));
	my %seen;
	for my $row (@only, grep { !$past{$_} } @recovered)
	{
		$row =~ s/^(recovered|past) //;
		my ($oid, undef, undef, undef, $fork) = split /\|/, $row;
		next if !$fork || $seen{"$oid $fork"}++ || keys %seen > 3;
		$self->_compare_pages($point, $db, $oid, $fork);
	}
	return;
}

# Says which blocks of a relation differ, and where first.
sub _compare_pages
{
	my ($self, $point, $db, $oid, $fork) = @_;
	my ($recovered, $past) = $self->_both($point, $db, "SELECT block, digest, encode(masked, 'hex') FROM strata.page_digests($oid, '$fork')");
	my (%bytes, %digest);
	for my $side ([ 0, $recovered ], [ 1, $past ])
	{
		for my $row (split /\n/, $side->[1])
		{
			my ($block, $digest, $masked) = split /\|/, $row;
			next unless defined $masked;
			$bytes{$block}[ $side->[0] ] = $masked;
			$digest{$block}[ $side->[0] ] = $digest;
		}
	}
	my @differ = grep { ($digest{$_}[0] // '') ne ($digest{$_}[1] // '') } sort { $a <=> $b } keys %digest;
	for my $block (splice(@differ, 0, 3))
	{
		my ($left, $right) = map { $bytes{$block}[$_] // '' } 0, 1;
		my $at = 0;
		++$at while $at < length($left) && substr($left, $at, 2) eq substr($right, $at, 2) && ($at += 1);
		$at -= $at % 2;
		$self->_differs(sprintf('page: database %s relation %s fork %s block %s byte %d: recovered %s, past %s (LSNs masked)',
			$db, $oid, $fork, $block, $at / 2, substr($left, $at, 32), substr($right, $at, 32)));
	}
	return;
}

sub _compare_transactions
{
	my ($self, $point) = @_;
	my $oldest = $self->_same($point, 'postgres', 'oldest transaction',
		'SELECT greatest(3, min(datfrozenxid::text::bigint)) FROM pg_database');
	my ($recovered, $past) = $self->_both($point, 'postgres', 'SELECT strata.next_xid()');
	my $running = $self->_next_xid_of_running_xacts($point);
	my $expected = $past =~ /^\d+$/ && $running > $past ? $running : $past;
	$self->_differs("next transaction ID: recovered $recovered, past $past, by RUNNING_XACTS $running") if $recovered ne $expected;
	my $digest = $self->_same($point, 'postgres', 'commit log', "SELECT '$oldest - $past', * FROM strata.commit_log_digest('$oldest', '$past')");
	$self->{xids} += $past - $oldest if $digest =~ /^\d/ && $past =~ /^\d+$/;

	my $range = $self->{recovered}->safe_psql('postgres', 'SELECT * FROM strata.multixact_range()');
	my ($first, $next) = split /\|/, $range;
	my $multixacts = $self->_same($point, 'postgres', 'multixacts', "SELECT '$range', * FROM strata.multixact_digest('$first', '$next')");
	$self->{multixacts} += $next - $first;
	return;
}

# The highest that RUNNING_XACTS records before the point have said.
sub _next_xid_of_running_xacts
{
	my ($self, $point) = @_;
	if (!$self->{running})
	{
		my $rows = $self->{node}->safe_psql('postgres', <<"SQL");
SELECT (end_lsn - '0/0')::bigint, substring(description FROM 'nextXid (\\d+)')
FROM pg_get_wal_records_info('$self->{start}', pg_current_wal_flush_lsn()) WHERE record_type = 'RUNNING_XACTS'
SQL
		$self->{running} = [ map { [ split /\|/ ] } split /\n/, $rows ];
	}
	my $at = $self->{node}->safe_psql('postgres', "SELECT ('$point->{lsn}'::pg_lsn - '0/0')::bigint");
	my $highest = 0;
	for my $row (@{ $self->{running} })
	{
		$highest = $row->[1] if $row->[0] <= $at && $row->[1] > $highest;
	}
	return $highest;
}

sub _compare_dumps
{
	my ($self, $point, @gone) = @_;
	my @runs;
	for my $side ([ 'recovered', $self->{recovered}, '' ], [ 'past', $self->{node}, "-c strata.travel_lsn=$point->{lsn}" ])
	{
		my ($name, $server, $options) = @$side;
		my $file = "$self->{dir}/$name.sql";
		unlink $file;
		local $ENV{PGOPTIONS} = $options;
		local $ENV{PGOPTIONS} = "-c strata.travel_time=" . ($point->{value} =~ s/ /\\ /gr) if $options && $point->{setting} eq 'time';
		push @runs, IPC::Run::start(
			[ 'pg_dumpall', '--no-unlogged-table-data', '-d', $server->connstr('postgres'), '-f', $file,
				(map { "--exclude-database=\"$_\"" } @gone) ],
			'<', \undef, '>', "$file.out", '2>', "$file.err");
	}
	for my $run (@runs)
	{
		$self->_differs('pg_dumpall fails') if !$run->finish;
	}
	my @texts;
	for my $name ('recovered', 'past')
	{
		my $text = slurp_file("$self->{dir}/$name.sql.err") . slurp_file("$self->{dir}/$name.sql");
		$text =~ s/^\\(un)?restrict .*\n//mg;
		$text =~ s/port \d+//g;
		push @texts, $text;
	}
	$self->{dumped} += length $texts[0];
	return if $texts[0] eq $texts[1];
	my $diff = `diff "$self->{dir}/recovered.sql.err" "$self->{dir}/past.sql.err"; diff "$self->{dir}/recovered.sql" "$self->{dir}/past.sql" | grep -v restrict | head -20`;
	$self->_differs("pg_dumpall: $diff");
	return;
}

1;
