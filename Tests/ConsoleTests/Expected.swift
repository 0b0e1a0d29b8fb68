/// The columns of every SHOW, as PgBouncer has them: name and type number, in order.
enum Expected {
    static let columns: [(words: String, columns: [String])] = [
        (
            "SHOW VERSION",
            [
                "version:25"
            ]
        ),
        (
            "SHOW STATE",
            [
                "key:25", "value:25",
            ]
        ),
        (
            "SHOW CONFIG",
            [
                "key:25", "value:25", "default:25", "changeable:25",
            ]
        ),
        (
            "SHOW DATABASES",
            [
                "name:25", "host:25", "port:23", "database:25", "force_user:25", "pool_size:23",
                "min_pool_size:23", "reserve_pool_size:23", "server_lifetime:23", "pool_mode:25",
                "load_balance_hosts:25", "max_connections:23", "current_connections:23",
                "max_client_connections:23", "current_client_connections:23", "paused:23", "disabled:23",
            ]
        ),
        (
            "SHOW PEERS",
            [
                "peer_id:23", "host:25", "port:23", "pool_size:23",
            ]
        ),
        (
            "SHOW PEER_POOLS",
            [
                "peer_id:23", "cl_active_cancel_req:23", "cl_waiting_cancel_req:23", "sv_active_cancel:23",
                "sv_login:23",
            ]
        ),
        (
            "SHOW POOLS",
            [
                "database:25", "user:25", "cl_active:23", "cl_waiting:23", "cl_active_cancel_req:23",
                "cl_waiting_cancel_req:23", "sv_active:23", "sv_active_cancel:23", "sv_being_canceled:23",
                "sv_idle:23", "sv_used:23", "sv_tested:23", "sv_login:23", "maxwait:23", "maxwait_us:23",
                "pool_mode:25", "load_balance_hosts:25",
            ]
        ),
        (
            "SHOW LISTS",
            [
                "list:25", "items:23",
            ]
        ),
        (
            "SHOW USERS",
            [
                "name:25", "pool_size:25", "reserve_pool_size:25", "pool_mode:25", "max_user_connections:23",
                "current_connections:23", "max_user_client_connections:23", "current_client_connections:23",
            ]
        ),
        (
            "SHOW CLIENTS",
            [
                "type:25", "user:25", "database:25", "replication:25", "state:25", "addr:25", "port:23",
                "local_addr:25", "local_port:23", "connect_time:25", "request_time:25", "wait:23",
                "wait_us:23", "close_needed:23", "ptr:25", "link:25", "remote_pid:23", "tls:25",
                "application_name:25", "prepared_statements:23", "id:23",
            ]
        ),
        (
            "SHOW SERVERS",
            [
                "type:25", "user:25", "database:25", "replication:25", "state:25", "addr:25", "port:23",
                "local_addr:25", "local_port:23", "connect_time:25", "request_time:25", "wait:23",
                "wait_us:23", "close_needed:23", "ptr:25", "link:25", "remote_pid:23", "tls:25",
                "application_name:25", "prepared_statements:23", "id:23",
            ]
        ),
        (
            "SHOW SOCKETS",
            [
                "type:25", "user:25", "database:25", "replication:25", "state:25", "addr:25", "port:23",
                "local_addr:25", "local_port:23", "connect_time:25", "request_time:25", "wait:23",
                "wait_us:23", "close_needed:23", "ptr:25", "link:25", "remote_pid:23", "tls:25",
                "application_name:25", "prepared_statements:23", "id:23", "recv_pos:23", "pkt_pos:23",
                "pkt_remain:23", "send_pos:23", "send_remain:23", "pkt_avail:23", "send_avail:23",
            ]
        ),
        (
            "SHOW ACTIVE_SOCKETS",
            [
                "type:25", "user:25", "database:25", "replication:25", "state:25", "addr:25", "port:23",
                "local_addr:25", "local_port:23", "connect_time:25", "request_time:25", "wait:23",
                "wait_us:23", "close_needed:23", "ptr:25", "link:25", "remote_pid:23", "tls:25",
                "application_name:25", "prepared_statements:23", "id:23", "recv_pos:23", "pkt_pos:23",
                "pkt_remain:23", "send_pos:23", "send_remain:23", "pkt_avail:23", "send_avail:23",
            ]
        ),
        (
            "SHOW STATS",
            [
                "database:25", "total_server_assignment_count:1700", "total_xact_count:1700",
                "total_query_count:1700", "total_received:1700", "total_sent:1700", "total_xact_time:1700",
                "total_query_time:1700", "total_wait_time:1700", "total_client_parse_count:1700",
                "total_server_parse_count:1700", "total_bind_count:1700", "total_client_login_count:1700",
                "avg_server_assignment_count:1700", "avg_xact_count:1700", "avg_query_count:1700",
                "avg_recv:1700", "avg_sent:1700", "avg_xact_time:1700", "avg_query_time:1700",
                "avg_wait_time:1700", "avg_client_parse_count:1700", "avg_server_parse_count:1700",
                "avg_bind_count:1700", "avg_client_login_count:1700",
            ]
        ),
        (
            "SHOW STATS_TOTALS",
            [
                "database:25", "server_assignment_count:1700", "xact_count:1700", "query_count:1700",
                "bytes_received:1700", "bytes_sent:1700", "xact_time:1700", "query_time:1700",
                "wait_time:1700", "client_parse_count:1700", "server_parse_count:1700", "bind_count:1700",
                "client_login_count:1700",
            ]
        ),
        (
            "SHOW STATS_AVERAGES",
            [
                "database:25", "server_assignment_count:1700", "xact_count:1700", "query_count:1700",
                "bytes_received:1700", "bytes_sent:1700", "xact_time:1700", "query_time:1700",
                "wait_time:1700", "avg_client_parse_count:1700", "avg_server_parse_count:1700",
                "avg_bind_count:1700", "avg_client_login_count:1700",
            ]
        ),
        (
            "SHOW TOTALS",
            [
                "name:25", "value:1700",
            ]
        ),
        (
            "SHOW MEM",
            [
                "name:25", "size:23", "used:23", "free:23", "memtotal:23",
            ]
        ),
        (
            "SHOW DNS_HOSTS",
            [
                "hostname:25", "ttl:20", "addrs:25",
            ]
        ),
        (
            "SHOW WORKERS",
            [
                "worker:23", "clients:23", "servers:23", "queue:23", "busy:23", "letters_sent:20",
                "letters_received:20", "servers_sent:20",
            ]
        ),
        (
            "SHOW DNS_ZONES",
            [
                "zonename:25", "serial:20", "count:23",
            ]
        ),
    ]
}
