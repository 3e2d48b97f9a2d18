//go:build !linux && !darwin

package binary

import (
	"context"
	"syscall"
)

func lock(context.Context, string) (unlock func(), err error) { return nil, errUnsupported }

func termGroup(int) error { return errUnsupported }

func killGroup(int) error { return errUnsupported }

func groupAttr() *syscall.SysProcAttr { return nil }

func guard(int) (release func(), err error) { return nil, errUnsupported }
