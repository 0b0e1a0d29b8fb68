/// How much of anything a configuration may hold. Everything that reads files compares with these.
enum Limits {
    /// Most threads in one process: a cancel key has six bits for the number of one.
    static let workers = 64
    /// Integers of settings are 32 bits wide, as in PgBouncer.
    static let largestInteger = 2_147_483_647
    /// One line of an ini file; a connection string with the longest password fits.
    static let lineBytes = 262_144
    /// `%include` in `%include`.
    static let includeDepth = 10
    /// All files of one load together, so that files that include each other twice cannot grow without end.
    static let totalBytes = 67_108_864
    /// Lines of an HBA or ident file.
    static let accessRules = 100_000
    /// Problems collected before a load gives up.
    static let errors = 100
    /// What an error line quotes of a value.
    static let quotedBytes = 200
    /// PostgreSQL's NAMEDATALEN, less the terminator.
    static let databaseNameBytes = 63
    static let userNameBytes = 127
    /// What the DNS has room for.
    static let hostNameBytes = 253
    /// The name of a file.
    static let pamServiceBytes = 255
    /// A password or secret of the user list.
    static let secretBytes = 65_530
}
