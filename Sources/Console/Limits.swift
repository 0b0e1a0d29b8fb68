/// Bounds of the console; everything it keeps for a client is one of these or smaller.
enum Limits {
    /// Longest command word, argument, and value of SET, in bytes; PgBouncer's.
    static let wordBytes = 15
    static let argumentBytes = 63
    static let valueBytes = 255
    /// What an error quotes of a command that it does not know, in bytes.
    static let quotedBytes = 400
    /// Prepared statements and open portals of one client.
    static let statements = 1000
    static let portals = 32
    /// Names of statements and portals that are remembered, in bytes.
    static let nameBytes = 1024
    /// What a time-out tells of that is in the way.
    static let obstacles = 20
    /// Longest text that can be a courtesy of a driver, in bytes.
    static let courtesyBytes = 200
    /// A SELECT: its text in bytes, parentheses inside one another, steps of all its expressions, and how
    /// many items, aggregates and parameters it has.
    static let selectBytes = 32 * 1024
    static let selectDepth = 50
    static let selectSteps = 1500
    static let selectItems = 500
    /// The texts of an answer together, and what LIKE compares with what, in bytes.
    static let selectAnswerBytes = 32 * 1024 * 1024
    static let likeTextBytes = 1024
    static let likePatternBytes = 256
    static let selectAggregates = 100
    static let selectParameters = 500
    /// Replies to commands that came in one go, in bytes; who asks for more than this without reading is
    /// closed.
    static let replyBytes = 64 * 1024 * 1024
}
