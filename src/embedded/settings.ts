/** Settings written into a new cluster's postgresql.conf, as `name=value`. An operator may change them there or by ALTER SYSTEM. */
export function initdbSettings(platform: NodeJS.Platform = process.platform): string[] {
  return [
    // every agent is a process with connections of its own
    'max_connections=1000',
    'shared_buffers=128MB',
    'max_wal_size=1GB',
    'min_wal_size=80MB',
    'synchronous_commit=on',
    // short statements only: neither compiling nor parallel workers pay, and containers have little /dev/shm
    'jit=off',
    'max_parallel_workers_per_gather=0',
    'max_parallel_maintenance_workers=0',
    'io_method=sync',
    'max_logical_replication_workers=0',
    // where huge pages are reserved but not granted, as in containers, using them kills the server
    'huge_pages=off',
    // queues are hot tables: look for dead rows often
    'autovacuum_naptime=15s',
    // an open transaction holds back vacuum and the readers of the event log
    'idle_in_transaction_session_timeout=60s',
    // a killed agent's statement ends soon, also while it waits for a lock
    ...(platform === 'linux' ? ['client_connection_check_interval=2s'] : []),
    'timezone=UTC',
    'log_timezone=UTC',
    'logging_collector=off',
    'log_destination=stderr',
    'log_line_prefix=%m [%p] ',
    'log_checkpoints=off',
    // statements carry people's text: it stays out of the log
    'log_min_error_statement=panic',
    'log_parameter_max_length_on_error=0',
  ]
}

/** What the server must be told at every start, whatever its files say: how to be reached, and its name among processes. */
export function serverArguments(dataDir: string, socketDir: string, port: number, cluster: string): string[] {
  const must = [
    'listen_addresses=',
    `unix_socket_directories=${socketDir}`,
    'unix_socket_permissions=0700',
    `port=${port}`,
    'ssl=off',
    `cluster_name=${cluster}`,
  ]
  return ['-D', dataDir, ...must.flatMap((setting) => ['-c', setting]), '-c', 'fsync=on']
}
