# Kills a server with history at named points and at random, starts it again, and looks whether anything was lost.
#
# A cycle: a load with remembered moments; death; a start; then the page oracle over every relation of every database,
# moments from before compared with what was seen then, the present against what clients were told, and the files of
# the store against its manifest.
#
# A new point of strata takes one line in %points.
package StrataCrash;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(crash_cycles crash_seed);

# How each point is met: 'load' under load, 'gc' under load while history is bounded, 'start' when a server opens the
# store, 'baseline' when history begins, 'orphans' when history begins again after a crash in the middle of a baseline.
my %points = (
	(map { ("strata-flush-$_" => 'load', "strata-merge-$_" => 'load') } qw(create write half-written written sync synced remove removed)),
	(map { ("strata-manifest-$_" => 'load') } qw(write half-written written sync synced)),
	(map { ("strata-manifest-rewrite-$_" => 'start') } qw(create write half-written written sync synced rename renamed)),
	(map { ("strata-compaction-result-$_" => 'load') } qw(create write half-written written remove removed)),
	(map { ("strata-directory-$_" => 'load') } qw(sync synced)),
	(map { ("strata-$_" => 'load') }
		  qw(memtable-switch memtable-switched flush-request flush-requested flush-taken flush-complete flush-completed flush-apply flush-applied),
		qw(merge-request merge-requested merge-apply merge-applied merge-answered slot-advance slot-advanced)),
	(map { ("strata-gc-$_" => 'gc') }
		  qw(planned create write half-written written sync synced request requested apply applied answered remove removed)),
	(map { ("strata-baseline-$_" => 'baseline') } qw(create write half-written written sync synced copied)),
	(map { ("strata-baseline-$_" => 'orphans') } qw(remove removed)));

# How a process ends there, as crash_points.cc numbers it.
my %ends = (server => 1, process => 2, worker => 3);

my $max_loads = 60;
my $max_waits = 5;  # each as long as a poll may take
my $cycles_of_cluster = 25;

sub crash_seed
{
	my $seed = $ENV{CRASH_SEED} // int rand 1_000_000;
	diag("seed $seed: repeat with CRASH_SEED=$seed");
	srand($seed);
	return $seed;
}

# Runs cycles on fresh clusters, one test for each, and one that every point was met that should have been.
#   rounds   each is all points, every one with another end than in the round before; [0] is the default
#   only     a regular expression: other points are left out
#   random   how many cycles end at random points and random positions in WAL
sub crash_cycles
{
	my ($name, %option) = @_;
	my @plan = _plan(%option);
	my (%met, %how, $self);
	for my $i (0 .. $#plan)
	{
		if ($i % $cycles_of_cluster == 0)
		{
			$self->_end if defined $self;
			$self = _begin($name . int($i / $cycles_of_cluster));
		}
		my ($point, $end) = @{ $plan[$i] };
		my $started = time;
		my $where = $self->_cycle($point, $end);
		++$met{$where} if defined $where;
		++$how{$end};
		my @lost = defined $where ? $self->_what_is_lost : ("$point was not met");
		is(join("\n", @lost), '', sprintf('%d: %s ends at %s, nothing is lost', $i + 1, $end, $where // $point))
		  or last;
		note(sprintf '%.1f s, %s', time - $started, $self->{summary});
	}
	$self->_end;
	my @missed = grep { !$met{$_} } map { $_->[0] } grep { $_->[0] =~ /^strata/ } @plan;
	is(join(' ', @missed), '', 'every point was met');
	diag("$name: " . @plan . ' cycles (' . join(', ', map { "$how{$_} x $_" } sort keys %how) . ')');
	diag(join("\n", map { sprintf '%4d  %s', $met{$_}, $_ } sort keys %met));
	return;
}

# [point, end] for each cycle.
sub _plan
{
	my (%option) = @_;
	my @points = grep { !defined $option{only} || /$option{only}/ } sort keys %points;
	my @ends = sort keys %ends;
	my @plan;
	for my $round (@{ $option{rounds} // [0] })
	{
		push @plan, map { [ $points[$_], $ends[ ($_ + $round) % @ends ] ] } 0 .. $#points;
	}
	push @plan, map { [ rand() < 0.5 ? 'any' : 'kill', rand() < 0.5 ? 'server' : 'process' ] } 1 .. ($option{random} // 0);
	return _shuffled(@plan);
}

sub _shuffled
{
	my @all = @_;
	for my $i (reverse 1 .. $#all)
	{
		my $j = int rand($i + 1);
		@all[ $i, $j ] = @all[ $j, $i ];
	}
	return @all;
}

sub _begin
{
	my ($name) = @_;
	my $self = bless { clients => [], moments => [], steps => 0, loads => 0 }, __PACKAGE__;
	$self->{dir} = PostgreSQL::Test::Utils::tempdir;
	$self->{table} = "$self->{dir}/points";
	my @names = sort keys %points;
	append_to_file($self->{table}, pack('a56 q< a56 l< L<', '', 0, '', 0, scalar @names) . join('', map { pack('a56 Q<', $_, 0) } @names));
	$self->_environment;
	my $node = $self->{node} = new_node($name, log_statement => 'none',
		'strata.memtable_size' => "'4MB'", checkpoint_timeout => '1h', max_wal_size => "'1GB'", shared_buffers => "'16MB'",
		# A parallel VACUUM that finds the postmaster dead fails an assertion of PostgreSQL's while it exits.
		max_parallel_maintenance_workers => 0,
		shared_preload_libraries => "'$ENV{STRATA_TEST_LIBRARIES}/strata_test_crash_points.so'");
	$node->safe_psql('template1', 'CREATE EXTENSION strata');
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE DATABASE other;
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, filler text);
INSERT INTO accounts SELECT i, 0, repeat('f', 400) FROM generate_series(1, 8000) i;
CREATE TABLE tellers (id int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0);
INSERT INTO tellers SELECT i FROM generate_series(1, 50) i;
CREATE TABLE transfers (client int, n int, account int, amount bigint, words text[], range int4range);
CREATE INDEX ON transfers USING hash (account);
CREATE INDEX ON transfers USING gin (words);
CREATE INDEX ON transfers USING gist (range);
CREATE INDEX ON transfers USING brin (n);
-- One round: 40 transfers, and enough changed pages to fill a memtable soon.
CREATE PROCEDURE round(client int, n int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 40 LOOP
    DECLARE a int := 1 + random() * 7999; d int := random() * 1000 - 500;
    BEGIN
      UPDATE accounts SET balance = balance + d WHERE id = a;
      UPDATE tellers SET balance = balance + d WHERE id = 1 + a % 50;
      INSERT INTO transfers VALUES (client, n, a, d, ARRAY[md5(a::text), 'w' || d], int4range(a, a + 10));
    END;
    COMMIT;
  END LOOP;
  UPDATE accounts SET filler = repeat(chr(97 + n % 26), 400) WHERE id % 10 = 2 * (n % 5) + client - 1;
  EXECUTE format('CREATE TABLE made_%s_%s AS SELECT * FROM tellers', client, n);
  EXECUTE format('DROP TABLE IF EXISTS made_%s_%s', client, n - 3);
  COMMIT;
  INSERT INTO transfers SELECT client, n, i, 7, NULL, NULL FROM generate_series(1, 50) i;
  ROLLBACK;
END $$;
SQL
	$node->safe_psql('other', 'CREATE TABLE here (n int, t text)');
	return $self;
}

sub _end
{
	my ($self) = @_;
	my $node = $self->{node};
	$self->_environment;
	my @bad = grep { /PANIC|TRAP:|was terminated by signal|XX\d\d\d/ && !/was terminated by signal 9/ } split /\n/, slurp_file($node->logfile);
	is(join("\n", splice(@bad, 0, 10)), '', 'the log has no crash that was not asked for, no failed assertion and no internal error');
	$node->stop;
	rmtree($node->data_dir) if Test::More->builder->is_passing;
	return;
}

# The table.
sub _environment { $ENV{STRATA_CRASH_POINTS} = $_[0]{table}; return; }

sub _arm
{
	my ($self, $point, $end, $countdown) = @_;
	open(my $file, '+<:raw', $self->{table}) or die "$self->{table}: $!";
	syswrite($file, pack('a56 q< a56 l<', $point, $countdown, '', $ends{$end}));
	close $file;
	return;
}

# Where a process has ended since _arm().
sub _ended_at
{
	my ($self) = @_;
	my $where = unpack('x64 Z56', slurp_file($self->{table}));
	return $where eq '' ? undef : $where;
}

# The load: two clients with rounds and checkpoints. They say what was committed.
sub _start_clients
{
	my ($self) = @_;
	my $node = $self->{node};
	++$self->{loads};
	for my $client (1, 2)
	{
		my $sql = '';
		for my $i (0 .. 3)
		{
			my $n = 4 * $self->{loads} + $i;
			$sql .= "CALL round($client, $n);\n\\echo $n\n";
			$sql .= "CHECKPOINT;\n" if $client == 1 && $i == 1;
			$sql .= "VACUUM transfers;\n" if $client == 2 && $i == 2;
		}
		my %run = (client => $client, out => '', error => '');
		my $script = "$self->{dir}/client$client.sql";
		unlink $script;
		append_to_file($script, $sql);
		$run{run} = IPC::Run::start([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $script ],
			'<' => '/dev/null', '>' => \$run{out}, '2>' => \$run{error});
		push @{ $self->{clients} }, \%run;
	}
	return;
}

# Waits for the clients; a server that dies ends them.
sub _finish_clients
{
	my ($self) = @_;
	while (my $run = shift @{ $self->{clients} })
	{
		eval { $run->{run}->finish };
		$self->{told}{ $run->{client} } = $_ for split /\n/, $run->{out};
		# An error that no crash explains.
		die "the load failed: $run->{error}" if $run->{error} =~ /ERROR/;
	}
	return;
}

# One death and the start after it. Returns where it was; undef where the point was not met.
sub _cycle
{
	my ($self, $point, $end) = @_;
	my $node = $self->{node};
	my $kind = $points{$point} // $point;
	$self->_environment;
	$self->_bound_history if $kind eq 'gc';
	if ($kind eq 'baseline' || $kind eq 'orphans')
	{
		$node->stop;
		rmtree($node->data_dir . '/pg_strata');
		$self->{moments} = [];
		if ($kind eq 'orphans')
		{
			$self->_arm('strata-baseline-synced', 'server', 1);
			$self->_start;
			$self->_recover('server', $point, $end) or return undef;
		}
		else
		{
			$self->_arm($point, $end, $point =~ /writ/ ? 1 + int rand 4 : 1);
			$self->_start;
		}
	}
	elsif ($kind eq 'start')
	{
		$self->_remember;
		$self->_start_clients;
		$self->_finish_clients;
		$node->stop(rand() < 0.5 ? 'immediate' : 'fast');
		$self->_arm($point, $end, 1);
		$self->_start;
	}
	elsif ($kind eq 'kill')
	{
		$self->_remember;
		$self->_kill_at_random($end);
		return 'a random position in WAL';
	}
	else
	{
		$self->_remember;
		$self->_arm($point, $end, 1 + int rand($kind eq 'any' ? 80 : 2));
		for (1 .. $max_loads)
		{
			$self->_start_clients;
			$self->_finish_clients;
			last if defined $self->_ended_at;
			$self->_remember_if_alive if $kind eq 'gc';
		}
	}
	my $where = $self->_recover($end);
	return defined $where && $kind eq 'any' ? 'any point' : $where;
}

# From now on all but the newest history goes.
sub _bound_history
{
	my ($self) = @_;
	my $node = $self->{node};
	$node->safe_psql('postgres', "ALTER SYSTEM SET strata.retention_size = '12MB'");
	$node->reload;
	$self->{bounded} = 1;
	return;
}

# Nothing goes any more: the worker that would do it has been off meanwhile.
sub _unbound_history
{
	my ($self) = @_;
	my $node = $self->{node};
	return if !delete $self->{bounded};
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
	$node->safe_psql('postgres', 'ALTER SYSTEM SET strata.compaction = off');
	$node->reload;
	poll_until(sub { $node->safe_psql('postgres', 'SELECT compaction FROM strata.status()') eq 'off' })
	  or die 'compaction does not end';
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
	$node->reload;
	return;
}

# Waits for the death that was asked for, and has the server run again, with the next death armed where one is given.
# Returns where it was, undef when it did not come.
sub _recover
{
	my ($self, $end, @next) = @_;
	my $node = $self->{node};
	poll_until(sub { defined $self->_ended_at }) or return undef;
	my $where = $self->_ended_at;
	if ($end eq 'server')
	{
		$self->_bury;
		$self->_arm(@next ? (@next, 1) : ('', 'server', 0));
		$self->_start;
	}
	elsif ($end eq 'process')
	{
		wait_for_restart($node, $self->{log});
	}
	return $where;
}

# Kills a process of strata, or all, when WAL has grown by a random amount.
sub _kill_at_random
{
	my ($self, $end) = @_;
	my $node = $self->{node};
	my $target = lsn_in($node);
	my $bytes = int rand(8 << 20);
	my @victims = split /\n/, $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type ~ '^(strata (ingest|flush|compaction)|checkpointer)'");
	$self->{log} = -s $node->logfile;
	$self->_start_clients;
	for (;;)
	{
		my $running = 0;
		for my $run (@{ $self->{clients} })
		{
			$run->{run}->pump_nb if $run->{run}->pumpable;
			$running += $run->{run}->pumpable ? 1 : 0;
		}
		last if $node->safe_psql('postgres', "SELECT pg_current_wal_insert_lsn() - '$target' > $bytes") eq 't';
		next if $running;
		$self->_finish_clients;
		$self->_start_clients;
	}
	if ($end eq 'process')
	{
		kill 'KILL', $victims[ rand @victims ];
		$node->wait_for_log(qr/all server processes terminated; reinitializing/, $self->{log});
	}
	else
	{
		my $postmaster = $node->{_pid};
		kill 'KILL', $postmaster, split(/\s+/, slurp_file("/proc/$postmaster/task/$postmaster/children"));
		$self->_bury;
	}
	$self->_finish_clients;
	$self->_start if !defined $node->{_pid};
	wait_for_connections($node);
	return;
}

# What a postmaster that was killed leaves: a process that nobody has waited for yet, which keeps pg_ctl from starting
# another one, and its name in a file.
sub _bury
{
	my ($self) = @_;
	my $node = $self->{node};
	my ($pid) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	poll_until(sub { !-e "/proc/$pid" || slurp_file("/proc/$pid/stat") =~ /\) Z/ }) or die "process $pid does not die";
	unlink($node->data_dir . '/postmaster.pid');
	$node->{_pid} = undef;
	return;
}

# A server that is killed while it starts may not have come up, or so late that pg_ctl is content. Processes of the one
# before may still hold its shared memory for a moment.
sub _start
{
	my ($self) = @_;
	my $node = $self->{node};
	$self->{log} = -s $node->logfile;
	my $try = sub {
		$node->{_pid} = undef;
		return $node->start(fail_ok => 1) || defined $self->_ended_at;
	};
	poll_until($try) or die 'the server does not start';
	return;
}

my $rows = q{
SELECT (SELECT sum(balance) || ' ' || md5(string_agg(id || ' ' || balance || left(filler, 1), ',' ORDER BY id)) FROM accounts),
       (SELECT sum(balance) FROM tellers),
       (SELECT sum(amount) || ' ' || count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY t::text)) FROM transfers t),
       (SELECT string_agg(relname || relfilenode, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace)};
my $pages = q{
SELECT md5(string_agg(c.oid || d::text, ',' ORDER BY c.oid, d::text))
FROM pg_class c, strata.relation_digest(c.oid) d
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')};

my $page_oracle = q{
SELECT sum(pages), sum(redo_calls), sum(mismatches), string_agg(c.oid::regclass || ': ' || first_mismatch, '; ')
FROM pg_class c, strata.check_pages(c.oid) WHERE relkind IN ('r', 'i', 'S', 't', 'm')};

# A moment: what the present shows in rows, and a travelling session in pages.
sub _remember
{
	my ($self) = @_;
	my $node = $self->{node};
	my $seen = $node->safe_psql('postgres', $rows);
	my $lsn = lsn_in($node);
	push @{ $self->{moments} }, { lsn => $lsn, rows => $seen, pages => at_lsn($node, $lsn, $pages) };
	return;
}

# One more moment, unless death comes before it is complete.
sub _remember_if_alive
{
	my ($self) = @_;
	my @before = @{ $self->{moments} };
	my $error = eval { $self->_remember; '' } // $@;
	if (defined $self->_ended_at) { $self->{moments} = \@before; }
	elsif ($error ne '') { die $error; }
	return;
}

# The newest moments, the oldest, and one between.
sub _moments_to_check
{
	my ($self) = @_;
	my @all = @{ $self->{moments} };
	return @all if @all <= 4;
	return @all[ 0, 1 + int(rand(@all - 3)), -2, -1 ];
}

# Forgets the moments before the horizon. Returns what is wrong with that: nobody may go there, and the newest one stays.
sub _forget_what_is_gone
{
	my ($self) = @_;
	my $node = $self->{node};
	my @wrong;
	my $horizon = $node->safe_psql('postgres', 'SELECT lsn FROM strata.horizon()');
	my @all = @{ $self->{moments} };
	my %gone = map { $_->{lsn} => 1 } grep { $node->safe_psql('postgres', "SELECT '$_->{lsn}' < '$horizon'::pg_lsn") eq 't' } @all;
	for my $lsn (sort keys %gone)
	{
		my $told = at_lsn($node, $lsn, 'SELECT 1');
		push @wrong, "at $lsn, before the horizon $horizon, there is $told" if $told !~ /22023.*history does not reach back that far/;
	}
	$self->{moments} = [ grep { !$gone{ $_->{lsn} } } @all ];
	push @wrong, "the horizon $horizon has passed every moment" if @all && !@{ $self->{moments} };
	$self->{gone} += %gone;
	return @wrong;
}

# What a crash has done that none may do. Empty: nothing.
sub _what_is_lost
{
	my ($self) = @_;
	my $node = $self->{node};
	my @lost;
	$self->_arm('', 'server', 0);
	$self->_finish_clients;
	wait_for_history($node);
	$self->_unbound_history;
	reached_lsn($node);

	# Every transfer is whole, and what a client was told is there.
	my $sums = $node->safe_psql('postgres',
		'SELECT (SELECT sum(balance) FROM accounts), (SELECT sum(balance) FROM tellers), (SELECT coalesce(sum(amount), 0) FROM transfers)');
	push @lost, "the sums of the present differ: $sums" if $sums !~ /^(-?\d+)\|\1\|\1$/;
	my %there = map { split /\|/ } split /\n/, $node->safe_psql('postgres', 'SELECT client, max(n) FROM transfers GROUP BY client');
	for my $client (sort keys %{ $self->{told} })
	{
		my ($told, $there) = ($self->{told}{$client}, $there{$client} // 0);
		push @lost, "client $client was told of round $told, the last one is $there" if $there < $told;
	}

	my ($all_pages, $all_calls) = (0, 0);
	for my $db ('postgres', 'other', 'template1')
	{
		my ($count, $calls, $mismatches, $first) = split /\|/, $node->safe_psql($db, $page_oracle), 4;
		$all_pages += $count;
		$all_calls += $calls;
		push @lost, "$mismatches pages of $db differ: $first" if $mismatches != 0;
	}
	push @lost, $self->_forget_what_is_gone;
	for my $moment ($self->_moments_to_check)
	{
		my $there = at_lsn($node, $moment->{lsn}, "$rows;\n$pages");
		push @lost, "at $moment->{lsn} there is $there, not $moment->{rows}\n$moment->{pages}" if $there ne "$moment->{rows}\n$moment->{pages}";
	}

	# No file but those that the manifest names, once the workers have come to rest. New sessions keep them from that, and
	# so does any load beside the test: merges yield to it.
	my $difference = q{
SELECT string_agg(coalesce('needless ' || file, 'missing ' || name), ', ')
FROM (SELECT pg_ls_dir('pg_strata') AS file) f FULL JOIN (SELECT name FROM strata.layers() UNION ALL VALUES ('MANIFEST'), ('OWNER')) l ON file = name
WHERE file IS NULL OR name IS NULL};
	my $is_idle = 0;
	for (1 .. $max_waits)
	{
		$is_idle = poll_until(sub { $node->safe_psql('postgres', $difference) eq '' }, 0.5);
		last if $is_idle || $node->safe_psql('postgres', 'SELECT compaction FROM strata.status()') ne 'merging';
	}
	push @lost, 'files: ' . $node->safe_psql('postgres', $difference) if !$is_idle;
	my $state = $node->safe_psql('postgres', 'SELECT state, last_error FROM strata.status()');
	push @lost, "history is $state" if $state ne 'running|';
	$self->{summary} = "$all_pages pages, $all_calls redo calls, " . scalar(@{ $self->{moments} }) . ' moments, ' . ($self->{gone} // 0) . ' gone, '
	  . $node->safe_psql('postgres', "SELECT count(*) || ' layers up to level ' || max(level) || ' with ' || sum(bytes) || ' bytes' FROM strata.layers()");
	return @lost;
}

1;
