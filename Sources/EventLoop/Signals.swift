import CLinux

/// The signals that mean something to us.
package enum Signal: Sendable { case hangUp, terminate, interrupt, quit, user1, user2 }

/// Signals as events: blocked everywhere, read from a descriptor.
package struct Signals: ~Copyable {
    private let socket: Socket

    /// Blocks our signals in this thread and all threads it will create, and ignores SIGPIPE. Before any
    /// thread.
    package static func block() { linux_prepare_signals() }

    /// `nil` when the kernel refuses.
    package init?() {
        guard let socket = Socket(result: linux_signalfd()) else { return nil }
        self.socket = socket
    }

    private init(_ socket: consuming Socket) { self.socket = socket }

    /// For a thread that leaves them to another: no signal ever comes.
    package static var none: Signals { Signals(Socket(owning: -1)) }

    package var descriptor: Int32 { socket.descriptor }

    /// The next signal that came, or `nil` when all have been read.
    package func next() -> Signal? {
        switch linux_next_signal(socket.descriptor) {
        case 72: .hangUp  // H
        case 84: .terminate  // T
        case 73: .interrupt  // I
        case 81: .quit  // Q
        case 49: .user1
        case 50: .user2
        default: nil
        }
    }
}
