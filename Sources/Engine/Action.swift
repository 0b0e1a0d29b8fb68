public import Primitives

/// What the engine wants done, in order. Plain values without anything to count or free: a test compares
/// whole lists, the simulator prints them.
///
/// The driver carries a list out to its end before it hands in the next event.
public enum Action: Equatable, BitwiseCopyable, Sendable {
    /// Pass on a range of the bytes being read, unchanged, to the peer.
    case relay(ByteRange, to: LinkID)
    /// Write bytes of ours: a range of the list's `scratch`.
    case send(ByteRange, to: LinkID)
    /// Open a connection to this endpoint, whose host is a range of the list's `scratch`; answered by
    /// `serverOpened` or `serverFailed`.
    case open(ServerID, host: ByteRange, port: UInt16)
    /// From here on this link is encrypted: what stands before this in the list still goes in the clear, and
    /// bytes that were read and not consumed are the first of the handshake. The host, a range of the list's
    /// `scratch`, is whom a server's certificate must be for. Where no request for TLS came first
    /// (`isDirect`), PostgreSQL's protocol must be named (ALPN). Answered by `secured` or `ended`.
    case startTLS(LinkID, host: ByteRange, isDirect: Bool)
    /// Read no more from this link until told so. The driver keeps what has been read and not been consumed.
    case pauseReading(LinkID)
    /// Go on reading, and offer again at once what was kept.
    case resumeReading(LinkID)
    /// The link's handle is dead from here on: deliver what is queued for it (for a bounded time), then
    /// close.
    case close(LinkID)
    /// The link's handle is dead from here on: close, whatever is queued.
    case drop(LinkID)
    /// One line of the log; the text is a range of the list's `scratch`. The driver adds time, process and
    /// level.
    case log(LogLevel, ByteRange)
    /// Close these listening sockets for good.
    case stopListening(ListenerScope)
    /// Read the configuration again and answer with `reloaded` or `reloadFailed`; with the console client
    /// that asked.
    case reload(ClientID?)
    /// Answer this console client's SHOW FDS: a row for every listening socket and every heirloom, with the
    /// sockets if it may have them, and with their whole state if it can read that.
    case handOver(ClientID, withSockets: Bool, withState: Bool)
    /// End the process with status 0.
    case exit
    /// Put this letter into the worker's mailbox. Between two workers letters arrive in the order they were
    /// posted in; none is lost.
    case post(LetterIndex, to: WorkerID)
    /// The link goes with this letter: its socket is the other worker's from here on, and its handle is dead
    /// here. Nothing is queued for it.
    case part(LinkID, LetterIndex, to: WorkerID)
    /// The socket that came with the letter being dealt with is this link's. The first action that speaks of
    /// it.
    case adopt(LinkID)
}

/// The place of a letter in its list.
public struct LetterIndex: Equatable, Sendable, BitwiseCopyable {
    public let place: UInt32
}

public enum ListenerScope: Equatable, BitwiseCopyable, Sendable { case tcp, all }

/// PgBouncer's levels.
public enum LogLevel: UInt8, Comparable, BitwiseCopyable, Sendable {
    case fatal, error, warning, log, debug, noise
    public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// How a link ended, seen from here.
public enum LinkEnd: Equatable, Sendable {
    /// The peer closed its side.
    case endOfFile
    /// A system call failed with this errno.
    case failed(Int32)
    /// TLS could not be agreed on, or broke, and why.
    case brokenTLS(ByteString)
}

/// Why a server could not be reached.
public enum OpenFailure: Equatable, Sendable {
    case nameLookup
    case connect(Int32)
}
