package models

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"olympus/internal/postgres"
)

// passing are errors of PostgreSQL's appendix A that are over when what causes them is: a timeout, a lock that others hold, a server that
// is not, or no longer, the one to write to.
var passing = []string{
	"25006", // read_only_sql_transaction: of a standby
	"25P03", // idle_in_transaction_session_timeout
	"25P04", // transaction_timeout
	"40001", // serialization_failure
	"40P01", // deadlock_detected
	"55P03", // lock_not_available
	"57014", // query_canceled, by statement_timeout too
}

// IsUnavailable reports whether an error of the database says that it could not be asked, or not in time: it cannot be reached, is
// starting, stopping, overloaded or locked, or the connection broke. The same request may succeed later.
func IsUnavailable(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		// Classes: connection exception, insufficient resources, operator intervention.
		return strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "53") || strings.HasPrefix(e.Code, "57P") || slices.Contains(passing, e.Code)
	}
	_, unreachable := errors.AsType[*pgconn.ConnectError](err)
	_, broken := errors.AsType[*net.OpError](err)
	return unreachable || broken || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "conn closed") ||
		errors.Is(err, postgres.ErrSlow) || errors.Is(err, sql.ErrTxDone) // the transaction was ended under our hands
}
