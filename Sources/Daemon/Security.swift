import CLinux
import Config
import Primitives
import TLS

/// The TLS contexts in force on one worker, for both sides. A reload puts others in their place, and links
/// that stand keep what they have. The contexts themselves are shared by all workers.
///
/// `@unchecked Sendable`: what changes is behind the gate's lock.
final class Security: @unchecked Sendable {
    struct Contexts: Sendable {
        var clients: TLSContext?
        var servers: TLSContext?

        /// Fails with what is wrong with the settings or their files.
        init(_ global: GlobalSettings) throws(TLSFailure) {
            try FilePermissions.checkKeys(global)
            clients = try TLSContext.forClients(global)
            servers = try TLSContext.forServers(global)
        }

        init() {}
    }

    private let gate = linux_gate_make()
    private var contexts: Contexts

    init(_ contexts: Contexts = Contexts()) { self.contexts = contexts }
    deinit { linux_gate_free(gate) }

    var current: Contexts {
        get {
            linux_gate_lock(gate)
            defer { linux_gate_unlock(gate) }
            return contexts
        }
        set {
            linux_gate_lock(gate)
            defer { linux_gate_unlock(gate) }
            contexts = newValue
        }
    }

    /// Takes keys and certificates from the files; the old ones stay when something is wrong, and the answer
    /// says what.
    func renew(_ global: GlobalSettings) -> ByteString? {
        do throws(TLSFailure) {
            current = try Contexts(global)
            return nil
        } catch {
            return error.text
        }
    }
}
