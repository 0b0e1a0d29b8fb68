public import Primitives

/// A database that clients ask for by name.
public struct DatabaseID: TypedHandle {
    public let handle: Handle
    public init(_ handle: Handle) { self.handle = handle }
}

/// A role: of a client, of a server, or both.
public struct UserID: TypedHandle {
    public let handle: Handle
    public init(_ handle: Handle) { self.handle = handle }
}

/// One question to an auth server: what is this user's secret?
public struct LookupID: TypedHandle {
    public let handle: Handle
    public init(_ handle: Handle) { self.handle = handle }
}

/// All servers for one database and one user.
public struct PoolID: TypedHandle {
    public let handle: Handle
    public init(_ handle: Handle) { self.handle = handle }
}
